# SPDX-License-Identifier: Apache-2.0
"""What RViz shows beneath the markers: the picture in space, and as a camera sees it.

RViz has no textured plane that can be changed, so the picture is a cloud of coloured points, on the
surface that a depth image tells or on a plane. It can be clicked, which an Image display cannot.
"""

from __future__ import annotations

import array
import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField

from fpt_ros.ros.conversions import rgb_to_message

try:
    from geometry_msgs.msg import TransformStamped
    from tf2_msgs.msg import TFMessage
except ImportError:  # there is no wheel of it; RViz brings it
    TFMessage = None

if TYPE_CHECKING:
    from jaxtyping import UInt8
    from rclpy.node import Node
    from std_msgs.msg import Header

    from fpt_ros.ros.projection import Projection, Surface

PERIOD = 0.1
"""Seconds between pictures, at least."""
MAX_POINTS = 80_000
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
FRAME = "fpt_view"
# From the optical frame (x right, y down, z ahead) to x ahead, y left, z up (REP 103).
UPRIGHT = (0.5, -0.5, 0.5, 0.5)


class View:
    """Publishes `view/cloud`, `view/image` with `view/camera_info`, each while somebody listens.

    And once, for each frame of images, a static transform to a frame of our own, which the RViz
    configuration can name without knowing the camera's.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._cloud = node.create_publisher(PointCloud2, "view/cloud", LATCHED)
        self._image = node.create_publisher(Image, "view/image", LATCHED)
        self._info = node.create_publisher(CameraInfo, "view/camera_info", LATCHED)
        self.frame = "/".join([*node.get_namespace().strip("/").split("/"), FRAME]).strip("/")
        """The frame's name: in a namespace, with it before."""
        self._transforms: Any = None
        if TFMessage is not None:
            self._transforms = node.create_publisher(TFMessage, "/tf_static", LATCHED)
        self._published = -math.inf
        self._known_frame = ""

    @property
    def wanted(self) -> bool:
        """Whether anybody looks."""
        return any(p.get_subscription_count() for p in (self._cloud, self._image))

    @property
    def due(self) -> bool:
        """Whether it is time for the next picture."""
        return time.monotonic() >= self._published + PERIOD

    def show(self, rgb: UInt8[np.ndarray, "h w 3"], surface: Surface, header: Header) -> None:
        """The picture, in the ways that somebody listens to."""
        self._published = time.monotonic()
        if self._cloud.get_subscription_count():
            self._cloud.publish(cloud_of(rgb, surface, header))
        if self._image.get_subscription_count():
            height, width = rgb.shape[:2]
            self._info.publish(info_of(surface.projection, (width, height), header))
            self._image.publish(rgb_to_message(rgb, header))

    def announce_frame(self, frame_id: str) -> None:
        """Send the transform from the images' frame to ours, once for each frame."""
        if frame_id == self._known_frame:
            return
        self._known_frame = frame_id
        if self._transforms is None:
            self._node.get_logger().warning(
                f"tf2_msgs is not installed: set RViz's Fixed Frame to '{frame_id}'"
            )
            return
        transform = TransformStamped(child_frame_id=self.frame)
        transform.header.frame_id = frame_id
        turned = transform.transform.rotation
        turned.x, turned.y, turned.z, turned.w = UPRIGHT
        self._transforms.publish(TFMessage(transforms=[transform]))

    def to_optical(self, point: np.ndarray) -> np.ndarray:
        """A point of our frame [3] in the images' optical frame."""
        x, y, z = point
        return np.array([-y, -z, x])


def cloud_of(rgb: UInt8[np.ndarray, "h w 3"], surface: Surface, header: Header) -> PointCloud2:
    """A coloured point for every pixel, or for every second, third ... of a large picture."""
    height, width = rgb.shape[:2]
    step = max(1, math.ceil(math.sqrt(height * width / MAX_POINTS)))
    rgb = rgb[::step, ::step]
    rows, columns = rgb.shape[:2]
    y, x = np.mgrid[0 : rows * step : step, 0 : columns * step : step]
    pixels = np.stack([x.ravel(), y.ravel()], axis=1)
    depth = 1.0 if surface.depth is None else surface.depth[::step, ::step].ravel()
    points = np.empty((rows * columns, 4), np.float32)
    points[:, :3] = surface.projection.at(pixels, depth)
    packed = rgb.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    points.view(np.uint32)[:, 3] = packed.ravel()
    fields = [
        PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
        for i, name in enumerate(("x", "y", "z", "rgb"))
    ]
    data: array.array[int] = array.array("B")
    data.frombytes(points.tobytes())
    return PointCloud2(
        header=header,
        height=rows,
        width=columns,
        fields=fields,
        point_step=16,
        row_step=16 * columns,
        data=data,
        is_dense=surface.depth is None,
    )


def info_of(projection: Projection, size: tuple[int, int], header: Header) -> CameraInfo:
    """A CameraInfo for pictures of that size with this projection."""
    fx, fy, cx, cy, tx, ty = projection
    return CameraInfo(
        header=header,
        width=size[0],
        height=size[1],
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=[fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[fx, 0.0, cx, tx, 0.0, fy, cy, ty, 0.0, 0.0, 1.0, 0.0],
    )
