"""Images and pokes in pixels in, mixtures in pixels out. Knows nothing of ROS."""
