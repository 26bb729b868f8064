# SPDX-License-Identifier: Apache-2.0
"""Images and pokes in pixels in, mixtures in pixels out. Knows nothing of ROS."""
