# SPDX-License-Identifier: Apache-2.0
"""Points of any frame in the camera's, by TF where that is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fpt_ros.ros.transforms import rotation_matrix

if TYPE_CHECKING:
    from geometry_msgs.msg import PointStamped
    from jaxtyping import Float
    from rclpy.node import Node


class Transforms:
    """Asks tf2 for where frames are."""

    def __init__(self, node: Node) -> None:
        self._buffer: Any = None
        try:
            import tf2_ros
        except ImportError:  # there is no wheel of it; RViz brings it
            return
        self._buffer = tf2_ros.Buffer(node=node)
        self._listener = tf2_ros.TransformListener(self._buffer, node)

    def point(self, clicked: PointStamped, frame_id: str) -> Float[np.ndarray, " 3"]:
        """The point in the frame `frame_id`.

        Raises:
            ValueError: the transform is not known; says what to do.
        """
        at = clicked.point
        position = np.array([at.x, at.y, at.z])
        source = clicked.header.frame_id
        if source == frame_id:
            return position
        if self._buffer is None:
            raise ValueError(
                f"the point is in the frame '{source}', images in '{frame_id}', and tf2_ros is not "
                f"installed: set RViz's Fixed Frame to fpt_view or '{frame_id}'"
            )
        matrix = self._matrix(source, frame_id)
        return matrix[:, :3] @ position + matrix[:, 3]

    def _matrix(self, source: str, target: str) -> Float[np.ndarray, "3 4"]:
        """ValueError for what is not known."""
        import tf2_ros
        from rclpy.time import Time

        try:
            found = self._buffer.lookup_transform(target, source, Time()).transform
        except tf2_ros.TransformException as error:
            raise ValueError(f"no transform from '{source}' to '{target}': {error}") from None
        q, t = found.rotation, found.translation
        return np.column_stack([rotation_matrix(q.x, q.y, q.z, q.w), [t.x, t.y, t.z]])
