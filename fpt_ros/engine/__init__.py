# SPDX-License-Identifier: Apache-2.0
"""The node without ROS: kept images, checks of a question, whose turn it is, statistics."""
