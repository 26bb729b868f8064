# SPDX-License-Identifier: Apache-2.0
"""The camera's newest image, its calibration and its depth, as they arrive."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from fpt_ros.encodings import MAX_PIXELS
from fpt_ros.engine.depth_image import Depth
from fpt_ros.engine.depths import Depths
from fpt_ros.engine.frames import Frame, Frames
from fpt_ros.images import ImageError, compressed_to_rgb, image_to_rgb
from fpt_ros.ros.cameras import camera_info_topic, shown_camera
from fpt_ros.ros.conversions import stamp_of
from fpt_ros.ros.depth import TRANSPORTS, depth_decoder, depth_topic
from fpt_ros.ros.projection import Surface

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float32, UInt8
    from rclpy.node import Node
    from rclpy.subscription import Subscription

NEWEST_ONLY = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
KEPT = 8
"""Images that wait for their depth, and depth images that wait for their image."""


class CameraFeed:
    """Listens to `image` (or `image/compressed`), `camera_info` and `depth` (or
    `depth/compressedDepth`).

    What it gives is of the newest image that has depth, of the last KEPT; where none has, of the
    newest. `on_image` is called when that is another one. Images are listened to only while they
    are `wanted`, and until the first one has told their size and frame.
    """

    def __init__(
        self,
        node: Node,
        transport: str,
        depth_transport: str,
        depth_tolerance: float,
        on_image: Callable[[], None],
    ) -> None:
        """`depth_tolerance`: most that the stamps of an image and of its depth differ [s]."""
        compressed = transport == "compressed"
        self._node = node
        self._on_image = on_image
        self._kind: type = CompressedImage if compressed else Image
        self._read: Any = compressed_to_rgb if compressed else image_to_rgb
        self.topic = node.resolve_topic_name("image") + ("/compressed" if compressed else "")
        self._subscription: Subscription | None = None
        self._tolerance = depth_tolerance
        self._frames, self._depths = Frames(KEPT), Depths(KEPT)
        self._frame: Frame | None = None
        self._depth: Depth | None = None
        self._info: CameraInfo | None = None
        info = camera_info_topic(node)
        node.create_subscription(CameraInfo, info, self._take_info, NEWEST_ONLY)
        kind, depth = TRANSPORTS[depth_transport], depth_topic(node, depth_transport)
        node.create_subscription(kind, depth, self._take_depth, NEWEST_ONLY)
        self.want(True)

    def want(self, wanted: bool) -> None:
        """Whether images are needed; one that tells their size always is."""
        wanted = wanted or self._frame is None
        if wanted and self._subscription is None:
            self._subscription = self._node.create_subscription(
                self._kind, self.topic, self._take_image, NEWEST_ONLY
            )
        elif not wanted and self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    @property
    def header(self) -> Any:
        """std_msgs/Header of the image; None before the first."""
        return None if self._frame is None else self._frame.header

    @property
    def rgb(self) -> UInt8[np.ndarray, "h w 3"]:
        """The image; ImageError if it cannot be read."""
        if self._frame is None:
            raise ImageError("no image has arrived yet")
        return self._frame.rgb

    @property
    def size(self) -> tuple[int, int]:
        """Width and height [px] of the image; ImageError as rgb."""
        height, width = self.rgb.shape[:2]
        return width, height

    @property
    def surface(self) -> Surface:
        """Where the pixels lie in the optical frame; ImageError as rgb."""
        return Surface(shown_camera(self.size, self._info), self._depth_of_image())

    def _depth_of_image(self) -> Float32[np.ndarray, "h w"] | None:
        """Metres at each pixel of the image, NaN in holes; None where there is none."""
        if self._depth is None:
            return None
        try:
            depth = self._depth.metres
        except ImageError as error:
            self._node.get_logger().warning(f"depth: {error}", throttle_duration_sec=5.0)
            return None
        width, height = self.size
        if depth.shape != (height, width):
            rows = np.arange(height) * depth.shape[0] // height
            columns = np.arange(width) * depth.shape[1] // width
            depth = depth[rows[:, None], columns]
        return depth

    def _take_image(self, message: Any) -> None:
        decode = functools.partial(self._read, message)
        frame = Frame(message.header, stamp_of(message.header), decode)
        self._depths.find(frame, self._tolerance)
        self._frames.add(frame)
        self._choose()

    def _take_info(self, message: CameraInfo) -> None:
        self._info = message

    def _take_depth(self, message: Image | CompressedImage) -> None:
        try:
            decode = depth_decoder(message, MAX_PIXELS)
        except ImageError as error:
            self._node.get_logger().warning(f"refused depth: {error}", once=True)
            return
        depth = Depth(stamp_of(message.header), decode)
        self._depths.add(depth, self._frames, self._tolerance)
        self._choose()

    def _choose(self) -> None:
        """Which image is given, with its depth; whoever waits for it is told."""
        frames = self._frames.all()  # in the order of their coming
        if not frames:
            return
        frame = next((f for f in reversed(frames) if f.depth is not None), frames[-1])
        if frame is self._frame and frame.depth is self._depth:
            return
        self._frame, self._depth = frame, frame.depth
        self._on_image()
