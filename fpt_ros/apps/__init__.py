"""Programs around the node: the demo, and recordings in and out."""
