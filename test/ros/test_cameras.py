# SPDX-License-Identifier: Apache-2.0
"""Finding the one camera in a ROS graph that has real publishers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
import rclpy
from rclpy.context import Context
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from fpt_ros.ros.cameras import choose, find_camera, read_camera, shown_camera

DOMAIN = 101 + os.getpid() % 100  # not that of the other tests, whose nodes publish images

Publish = Callable[..., None]


@pytest.fixture
def publish() -> Iterator[Publish]:
    """Publishers of images, in a process's own context and a domain without other nodes."""
    context = Context()
    rclpy.init(context=context, domain_id=DOMAIN)
    node = rclpy.create_node("camera", context=context)

    def publish(*topics: str, message: type = Image) -> None:
        for topic in topics:
            node.create_publisher(message, topic, 1)

    yield publish
    context.try_shutdown()


def found(*arguments: str, patience: float = 20.0) -> str | None:
    return find_camera(*arguments, patience=patience, domain_id=DOMAIN)


def test_the_only_camera_is_found_beside_depth_and_what_nodes_draw(publish: Publish):
    publish(
        "/camera/color/image_raw", "/camera/depth/image_rect_raw", "/fpt/overlay", "/view/image"
    )
    publish("/camera/color/image_raw/compressed", message=CompressedImage)
    assert found() == "/camera/color/image_raw"
    assert found("", "compressed") == "/camera/color/image_raw"


def test_none_without_a_publisher(publish: Publish):
    publish("/camera/image_raw/compressed", message=CompressedImage)
    assert found(patience=1.0) is None


def test_several_cameras_are_named(publish: Publish):
    publish("/left/image_raw", "/right/image_raw")
    with pytest.raises(ValueError, match=r"/left/image_raw, /right/image_raw"):
        found()
    assert found("/right") == "/right/image_raw"


@pytest.mark.parametrize(
    ("topics", "best"),
    [
        (["/c/image_raw", "/c/image_rect", "/c/image_mono"], "/c/image_rect"),
        (["/c/zoom", "/c/image_raw"], "/c/image_raw"),
        (["/c/wide", "/c/zoom"], "/c/wide"),
        (["/image"], "/image"),
    ],
)
def test_of_one_camera_the_usual_name_goes_first(topics: list[str], best: str):
    assert choose(topics) == best


K, P = [600.0, 0, 320, 0, 600, 240, 0, 0, 1], [560.0, 0, 331, 0, 0, 575, 236, 0, 0, 0, 1, 0]


def test_metres_of_raw_images_are_by_k_and_d_and_displays_project_with_p():
    bent = [-0.3, 0.1, 0.001, -0.002, 0.0]
    info = CameraInfo(width=640, height=480, k=K, p=P, d=bent, distortion_model="plumb_bob")
    shown = shown_camera((640, 480), info)
    raw, rectified = (read_camera(info, f"/camera/{name}") for name in ("image_raw", "image_rect"))
    assert rectified == shown
    assert (shown.fx, shown.distortion) == (560, ())
    assert (raw.fx, raw.distortion) == (600, tuple(bent))


def test_a_distortion_that_does_not_count_may_be_of_any_model():
    info = CameraInfo(width=640, height=480, k=K, p=P, d=[0.1], distortion_model="thin_prism")
    assert read_camera(info, "/camera/image_rect") == shown_camera((640, 480), info)
    with pytest.raises(ValueError, match="distortion_model is 'thin_prism'"):
        read_camera(info, "/camera/image_raw")
    only_k = CameraInfo(width=640, height=480, k=K, d=[0.1], distortion_model="thin_prism")
    assert shown_camera((640, 480), only_k).fx == 600
