# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 node: messages to arrays, arrays to messages, and the life of the node between."""
