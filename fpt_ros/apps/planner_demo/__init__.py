"""The planner at work on a simulated robot: `make planner-demo`."""
