# SPDX-License-Identifier: Apache-2.0
"""Finding the one camera in a ROS graph that has real publishers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
import rclpy
from rclpy.context import Context
from sensor_msgs.msg import CompressedImage, Image

from fpt_ros.ros.cameras import choose, find_camera

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
