# SPDX-License-Identifier: Apache-2.0
"""Rotations in messages, and points of other frames by TF where that is installed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from geometry_msgs.msg import Quaternion

if TYPE_CHECKING:
    from jaxtyping import Float
    from rclpy.node import Node
    from std_msgs.msg import Header

PATIENCE = 2.0
"""Seconds that the first question waits for TF to arrive."""


class Transforms:
    """Asks tf2 for where frames are. It listens from the first question on: TF is not cheap."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._buffer: Any = None
        self._lock = threading.Lock()

    def pokes(
        self, rows: Float[np.ndarray, "q 6"], source: str, target: Header
    ) -> Float[np.ndarray, "q 6"]:
        """Points and their displacements in the frame and at the stamp of the header `target`.

        Raises:
            ValueError: the transform is not known; says what to do.
        """
        if source in ("", target.frame_id):
            return rows
        matrix = self._matrix(source, target)
        turn = matrix[:, :3].T
        return np.hstack([rows[:, :3] @ turn + matrix[:, 3], rows[:, 3:] @ turn])

    def _matrix(self, source: str, target: Header) -> Float[np.ndarray, "3 4"]:
        """ValueError for what is not known."""
        try:
            import tf2_ros
        except ImportError:
            raise ValueError(
                f"the frame '{source}' is not the image's, '{target.frame_id}', and tf2_ros is not "
                "installed (ros-$ROS_DISTRO-tf2-ros-py): give pokes in the image's frame"
            ) from None
        from rclpy.duration import Duration
        from rclpy.time import Time

        with self._lock:
            if self._buffer is None:
                self._buffer = tf2_ros.Buffer(node=self._node)
                self._listener = tf2_ros.TransformListener(self._buffer, self._node)
        try:
            found = self._buffer.lookup_transform(
                target.frame_id, source, Time.from_msg(target.stamp), Duration(seconds=PATIENCE)
            ).transform
        except tf2_ros.TransformException as error:
            raise ValueError(f"no transform to '{target.frame_id}': {error}") from None
        q, t = found.rotation, found.translation
        return np.column_stack([rotation_matrix(q.x, q.y, q.z, q.w), [t.x, t.y, t.z]])


def rotation_matrix(x: float, y: float, z: float, w: float) -> Float[np.ndarray, "3 3"]:
    """Of a unit quaternion."""
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion(rotation: Float[np.ndarray, "3 3"]) -> Quaternion:
    """Of a rotation matrix."""
    vector = cv2.Rodrigues(np.asarray(rotation, float))[0].ravel()
    angle = float(np.linalg.norm(vector))
    x, y, z = np.sin(angle / 2) * vector / max(angle, 1e-12)
    return Quaternion(x=float(x), y=float(y), z=float(z), w=float(np.cos(angle / 2)))
