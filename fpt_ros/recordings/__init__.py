# SPDX-License-Identifier: Apache-2.0
"""Bags in and out, without ROS: `fpt-bag`. See docs/bags.md."""
