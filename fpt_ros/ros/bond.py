# SPDX-License-Identifier: Apache-2.0
"""The bond with Nav2's lifecycle manager, which brings its nodes down when one of them dies.

Topic, id and period are those of Nav2's own nodes (`LifecycleNode::createBond` of
nav2_ros_common): `bond` in the node's namespace, the node's name, 0.25 s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rclpy.duration import Duration

if TYPE_CHECKING:
    from rclpy.node import Node

HEARTBEAT_PERIOD = 0.25  # seconds
# The manager watches the node, not the node the manager: as with Nav2's nodes.
NO_TIMEOUT = 1e9  # seconds
LAST_WORD = Duration(seconds=0.1)  # without it the manager notices by its own time-out


def form_bond(node: Node) -> Any | None:
    """Begin to send heartbeats, in a thread of their own; None where bondpy is not installed.

    A bond that no manager joins within 10 s ends without a word.
    """
    try:
        from bondpy.bondpy import Bond
    except ImportError:
        return None
    bond = Bond(node, "bond", node.get_name())
    bond.heartbeat_period = HEARTBEAT_PERIOD
    bond.heartbeat_timeout = NO_TIMEOUT
    bond.start()
    return bond


def break_bond(node: Node, bond: Any | None) -> None:
    """Tell the manager that the node is not active any more, and leave nothing behind.

    To be called in the executor's thread: bondpy destroys what the executor waits for.
    """
    if bond is None:
        return
    bond.break_bond()
    bond.pub.wait_for_all_acked(LAST_WORD)
    bond.shutdown()  # which would not wait until its message is out
    # The node would keep the remains.
    node.destroy_subscription(bond.sub)
    node.destroy_publisher(bond.pub)
