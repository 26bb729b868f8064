# SPDX-License-Identifier: Apache-2.0
"""The server's side of RViz's interactive markers, as RViz's display speaks it.

A display asks the service once for all markers and then follows the updates, which are numbered.
ROS has a package for this, interactive_markers, which is not among the Python wheels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rclpy.qos import QoSProfile
from visualization_msgs.msg import (
    InteractiveMarker,
    InteractiveMarkerFeedback,
    InteractiveMarkerPose,
    InteractiveMarkerUpdate,
)
from visualization_msgs.srv import GetInteractiveMarkers

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.node import Node


class MarkerServer:
    """Shows a set of interactive markers and hears what is done to them."""

    def __init__(
        self, node: Node, name: str, on_feedback: Callable[[InteractiveMarkerFeedback], None]
    ) -> None:
        """`name` is what a display is given as its namespace."""
        self._node_name = node.get_fully_qualified_name()
        self._number = 0
        self._markers: dict[str, InteractiveMarker] = {}
        self._updates = node.create_publisher(
            InteractiveMarkerUpdate, f"{name}/update", QoSProfile(depth=100)
        )
        node.create_service(GetInteractiveMarkers, f"{name}/get_interactive_markers", self._answer)
        node.create_subscription(
            InteractiveMarkerFeedback, f"{name}/feedback", on_feedback, QoSProfile(depth=100)
        )

    def show(self, markers: list[InteractiveMarker], held: str = "") -> None:
        """Show these instead of those before; only what differs is sent.

        A marker that only moved is moved, so that a drag goes on. `held` is the one that is being
        dragged: it follows the mouse by itself.
        """
        now = {marker.name: marker for marker in markers}
        update = InteractiveMarkerUpdate(
            server_id=self._node_name, type=InteractiveMarkerUpdate.UPDATE
        )
        update.erases = [name for name in self._markers if name not in now]
        for name, marker in now.items():
            before = self._markers.get(name)
            if before is None or not _same_but_for_pose(before, marker):
                update.markers.append(marker)
            elif name != held and before.pose != marker.pose:
                pose = InteractiveMarkerPose(header=marker.header, pose=marker.pose, name=name)
                update.poses.append(pose)
        self._markers = now
        if update.erases or update.markers or update.poses:
            self._number += 1
            update.seq_num = self._number
            self._updates.publish(update)

    def _answer(
        self, _: GetInteractiveMarkers.Request, response: GetInteractiveMarkers.Response
    ) -> GetInteractiveMarkers.Response:
        response.sequence_number = self._number
        response.markers = list(self._markers.values())
        return response


def _same_but_for_pose(one: InteractiveMarker, other: InteractiveMarker) -> bool:
    fields = ("header", "description", "scale", "menu_entries", "controls")
    return all(getattr(one, field) == getattr(other, field) for field in fields)
