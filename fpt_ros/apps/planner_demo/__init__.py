# SPDX-License-Identifier: Apache-2.0
"""The planner at work on a simulated robot: `make planner-demo`."""
