# SPDX-License-Identifier: Apache-2.0
"""Which camera is there, and where is its CameraInfo? By the names of topics in the ROS graph."""

from __future__ import annotations

import contextlib
import re
import time
from typing import TYPE_CHECKING

import rclpy
from rclpy.context import Context

from fpt_ros.geometry.camera import Camera

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rclpy.node import Node
    from sensor_msgs.msg import CameraInfo

# Of several pictures by one camera, the first of these; others after them by name.
USUAL_NAMES = ("image_rect_color", "image_rect", "image_color", "image_raw", "image")
# Images that are not what a camera sees: depth and infrared, and what nodes like this one publish.
NOT_A_PICTURE = re.compile(r"depth|disparity|infra|mask|overlay|flow|/view/", re.IGNORECASE)
# Pictures that are as the sensor saw them; others are taken for rectified ones.
RAW = re.compile(r"image_(raw|color|mono)$")
# Topics of one camera become known one after the other.
SETTLING = 1.0  # seconds


def find_camera(
    namespace: str = "", transport: str = "raw", patience: float = 4.0, domain_id: int | None = None
) -> str | None:
    """Wait for the first image topic and give it, without /compressed.

    Args:
        namespace: cameras in it go before those outside.
        transport: raw or compressed: the type of message that counts.
        patience: seconds to wait for the first publisher; one more is waited for others.

    Returns:
        the topic with which to replace `image`, or None if no camera was there in time.

    Raises:
        ValueError: several cameras are there; names them.
    """
    context = Context()
    rclpy.init(args=[], context=context, domain_id=domain_id)
    try:
        node = rclpy.create_node(
            "_find_camera", context=context, enable_rosout=False, start_parameter_services=False
        )
        give_up = time.monotonic() + patience
        while not image_topics(node, transport):
            if time.monotonic() > give_up:
                return None
            time.sleep(0.05)
        time.sleep(SETTLING)
        return choose(image_topics(node, transport), namespace)
    finally:
        context.try_shutdown()


def image_topics(node: Node, transport: str) -> list[str]:
    """Topics of pictures that someone publishes, without /compressed."""
    suffix, message = "", "sensor_msgs/msg/Image"
    if transport == "compressed":
        suffix, message = "/compressed", "sensor_msgs/msg/CompressedImage"
    return [
        name.removesuffix(suffix)
        for name, types in node.get_topic_names_and_types()
        if types == [message]
        and name.endswith(suffix)
        and not NOT_A_PICTURE.search(name)
        and node.count_publishers(name)
    ]


def choose(topics: list[str], namespace: str = "") -> str:
    """The one camera's topic; ValueError if there are several. A folder of topics is a camera."""
    inside = [topic for topic in topics if topic.startswith(f"/{namespace.strip('/')}/")]
    topics = inside or topics
    if len({topic.rpartition("/")[0] for topic in topics}) > 1:
        raise ValueError(f"several cameras are there ({', '.join(sorted(topics))})")

    def rank(topic: str) -> tuple[int, str]:
        name = topic.rpartition("/")[2]
        return (USUAL_NAMES.index(name) if name in USUAL_NAMES else len(USUAL_NAMES)), name

    return min(topics, key=rank)


def camera_info_topic(node: Node) -> str:
    """As `camera_info` is remapped; else beside the image, by the convention of image_transport."""
    remapped = node.resolve_topic_name("camera_info")
    if remapped != node.resolve_topic_name("camera_info", only_expand=True):
        return remapped
    return node.resolve_topic_name("image").rpartition("/")[0] + "/camera_info"


def read_camera(info: CameraInfo, image_topic: str) -> Camera:
    """The camera to measure by, of the images on a topic (without /compressed): by P, binning and
    ROI; of raw images (image_raw, image_color, image_mono; image_proc) by K and the distortion.

    Raises:
        ValueError: it is not calibrated, or its distortion model is not known.
    """
    return _camera_of(info, info.d, info.distortion_model, not RAW.search(image_topic))


def shown_camera(image_size: tuple[int, int], info: CameraInfo | None) -> Camera:
    """The camera that displays see an image by: P, whatever the image, or K where there is no P.

    Where it is not calibrated or not for images of that size (width, height), a guessed one.
    """
    if info is not None:
        with contextlib.suppress(ValueError):
            camera = _camera_of(info)
            if (camera.width, camera.height) == image_size:
                return camera
    return Camera.guessed(*image_size)


def _camera_of(
    info: CameraInfo, d: Sequence[float] = (), model: str = "", rectified: bool = True
) -> Camera:
    roi = info.roi
    return Camera.from_info(
        info.width,
        info.height,
        info.k,
        info.p,
        d,
        model,
        (info.binning_x, info.binning_y),
        (roi.x_offset, roi.y_offset, roi.width, roi.height),
        rectified=rectified,
    )
