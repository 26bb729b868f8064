# SPDX-License-Identifier: Apache-2.0
"""What RViz shows beneath the markers: the picture in space, and as a camera sees it.

RViz has no textured plane that can be changed, so the picture is a cloud of coloured points, on the
surface that a depth image tells or on a plane. Clicks would fall between the points: an unseen mesh
on the same surface catches them.
"""

from __future__ import annotations

import array
import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
from visualization_msgs.msg import Marker

from fpt_ros.ros.conversions import rgb_to_message
from fpt_ros.ros.projection import DEPTH

try:
    from geometry_msgs.msg import TransformStamped
    from tf2_msgs.msg import TFMessage
except ImportError:  # there is no wheel of it; RViz brings it
    TFMessage = None

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8
    from rclpy.node import Node
    from std_msgs.msg import Header

    from fpt_ros.geometry.camera import Camera
    from fpt_ros.ros.projection import Surface

PERIOD = 0.1
"""Seconds between pictures, at least."""
SURFACE_PERIOD = 1.0
MAX_POINTS = 80_000
MESH = (32, 24)
"""Cells across and down of the mesh on a depth image."""
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
FRAME = "fpt_view"
# Of RViz's view: its vertical angle, and width to height of the window that config/fpt.rviz opens.
VIEW_ANGLE = math.radians(45)
VIEW_ASPECT = 1.25
MARGIN = 1.02
# From the optical frame (x right, y down, z ahead) to x ahead, y left, z up (REP 103).
UPRIGHT = (0.5, -0.5, 0.5, 0.5)


class View:
    """Publishes `view/cloud`, `view/surface`, and `view/image` with `view/camera_info`, each while
    somebody listens.

    And once, for each frame of images, a static transform to a frame of our own, which the RViz
    configuration can name without knowing the camera's.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._cloud = node.create_publisher(PointCloud2, "view/cloud", LATCHED)
        self._surface = node.create_publisher(Marker, "view/surface", LATCHED)
        self._image = node.create_publisher(Image, "view/image", LATCHED)
        self._info = node.create_publisher(CameraInfo, "view/camera_info", LATCHED)
        self.frame = "/".join([*node.get_namespace().strip("/").split("/"), FRAME]).strip("/")
        """The frame's name: in a namespace, with it before."""
        self._transforms: Any = None
        if TFMessage is not None:
            self._transforms = node.create_publisher(TFMessage, "/tf_static", LATCHED)
        self._published = self._surface_published = -math.inf
        self._announced = ("", 0.0)
        """The images' frame, and how far our frame is behind it [m]."""

    @property
    def wanted(self) -> bool:
        """Whether anybody looks."""
        return any(p.get_subscription_count() for p in (self._cloud, self._surface, self._image))

    @property
    def due(self) -> bool:
        """Whether it is time for the next picture."""
        return time.monotonic() >= self._published + PERIOD

    def show(self, rgb: UInt8[np.ndarray, "h w 3"], surface: Surface, header: Header) -> None:
        """The picture, in the ways that somebody listens to."""
        self._published = time.monotonic()
        if self._cloud.get_subscription_count():
            self._cloud.publish(cloud_of(rgb, surface, header))
        late = self._published >= self._surface_published + SURFACE_PERIOD
        if late and self._surface.get_subscription_count():
            self._surface_published = self._published
            self._surface.publish(mesh_of(surface, header))
        if self._image.get_subscription_count():
            self._info.publish(info_of(surface.camera, header))
            self._image.publish(rgb_to_message(rgb, header))

    def announce_frame(self, frame_id: str, camera: Camera) -> None:
        """Send the transform from the images' frame to ours, again where that has changed."""
        back = distance_to_see_all(camera) - DEPTH
        if (frame_id, back) == self._announced:
            return
        self._announced = (frame_id, back)
        if self._transforms is None:
            self._node.get_logger().warning(
                f"tf2_msgs is not installed: set RViz's Fixed Frame to '{frame_id}'"
            )
            return
        transform = TransformStamped(child_frame_id=self.frame)
        transform.header.frame_id = frame_id
        transform.transform.translation.z = -back
        turned = transform.transform.rotation
        turned.x, turned.y, turned.z, turned.w = UPRIGHT
        self._transforms.publish(TFMessage(transforms=[transform]))

    def to_optical(self, point: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 3"]:
        """A point of our frame in the images' optical frame."""
        x, y, z = point
        return np.array([-y, -z, x - self._announced[1]])


def distance_to_see_all(camera: Camera) -> float:
    """Metres from which RViz sees the camera's whole picture, DEPTH ahead of it.

    RViz's view has one angle; cameras have many. On a plane the picture looks the same from there
    as from the camera.
    """
    width, height = camera.width / camera.fx, camera.height / camera.fy
    tall = max(height, width / VIEW_ASPECT) * DEPTH
    return MARGIN * tall / 2 / math.tan(VIEW_ANGLE / 2)


def cloud_of(rgb: UInt8[np.ndarray, "h w 3"], surface: Surface, header: Header) -> PointCloud2:
    """A coloured point for every pixel, or for every second, third ... of a large picture."""
    height, width = rgb.shape[:2]
    step = max(1, math.ceil(math.sqrt(height * width / MAX_POINTS)))
    rgb = rgb[::step, ::step]
    rows, columns = rgb.shape[:2]
    y, x = np.mgrid[0 : rows * step : step, 0 : columns * step : step]
    pixels = np.stack([x.ravel(), y.ravel()], axis=1)
    depth = np.full(len(pixels), DEPTH)
    if surface.depth is not None:
        depth = surface.depth[::step, ::step].ravel()
    points = np.empty((rows * columns, 4), np.float32)
    points[:, :3] = surface.camera.unproject(pixels, depth)
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


def mesh_of(surface: Surface, header: Header) -> Marker:
    """Triangles over the picture, all but invisible: what Publish Point hits."""
    width, height = surface.camera.width, surface.camera.height
    across, down = (1, 1) if surface.depth is None else MESH
    x, y = np.meshgrid(
        np.linspace(-0.5, width - 0.5, across + 1), np.linspace(-0.5, height - 0.5, down + 1)
    )
    corners = np.stack([x, y], axis=-1)
    cell = corners[:-1, :-1], corners[:-1, 1:], corners[1:, :-1], corners[1:, 1:]
    pixels = np.stack([cell[i] for i in (0, 1, 2, 1, 3, 2)], axis=2).reshape(-1, 2)
    mesh = Marker(header=header, ns="surface", type=Marker.TRIANGLE_LIST)
    mesh.pose.orientation.w = mesh.scale.x = mesh.scale.y = mesh.scale.z = 1.0
    mesh.color.a = 0.01
    mesh.points = surface.points(pixels)
    return mesh


def info_of(camera: Camera, header: Header) -> CameraInfo:
    """A CameraInfo for pictures without distortion by this camera."""
    fx, fy, cx, cy = camera.fx, camera.fy, camera.cx, camera.cy
    return CameraInfo(
        header=header,
        width=camera.width,
        height=camera.height,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=[fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[fx, 0.0, cx, camera.tx, 0.0, fy, cy, camera.ty, 0.0, 0.0, 1.0, 0.0],
    )
