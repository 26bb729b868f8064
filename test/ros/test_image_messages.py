# SPDX-License-Identifier: Apache-2.0
"""Which converter reads ROS's own image messages: chosen once, after it was tried."""

from __future__ import annotations

import re
import sys
from types import ModuleType

import numpy as np
import pytest
from rclpy.time import Time
from ros_harness import image_message, scene

from fpt_ros.encodings import PICTURES, ImageError
from fpt_ros.images import Reading, image_to_rgb, rosbags_image
from fpt_ros.ros.images import choose_converter

RGB = scene(10, 6)


def message():
    return image_message(RGB, Time().to_msg())


def test_a_message():
    reading = Reading(convert=choose_converter().convert)
    np.testing.assert_array_equal(image_to_rgb(message(), reading), RGB)
    wrong = message()
    wrong.encoding = "32FC1"
    with pytest.raises(ImageError, match="encoding is '32FC1'"):
        image_to_rgb(wrong, reading)


def bridge(monkeypatch, convert):
    """Puts a cv_bridge in place that converts with `convert`."""
    module = ModuleType("cv_bridge")

    class CvBridge:
        def imgmsg_to_cv2(self, image, desired_encoding):
            assert desired_encoding == "rgb8"
            return convert(image)

    module.CvBridge = CvBridge
    monkeypatch.setitem(sys.modules, "cv_bridge", module)


def test_a_cv_bridge_that_works_is_used(monkeypatch):
    tried = []
    bridge(monkeypatch, lambda image: tried.append(image.encoding) or rosbags_image(image))
    chosen = choose_converter()
    assert (chosen.name, chosen.why) == ("cv_bridge", "")
    assert set(tried) == {layout.encoding for layout in PICTURES.values()}
    np.testing.assert_array_equal(image_to_rgb(message(), Reading(convert=chosen.convert)), RGB)


def fail(_):
    raise SystemError("initialization of cv_bridge_boost raised unreported exception")


def fail_on_bayer(image):
    return fail(image) if image.encoding.startswith("bayer") else rosbags_image(image)


def swap_on_bayer(image):
    rgb = rosbags_image(image)
    return rgb[..., ::-1] if image.encoding.startswith("bayer") else rgb


@pytest.mark.parametrize(
    ("convert", "why"),
    [
        (fail, "cannot be converted: SystemError: initialization of cv_bridge_boost"),
        (fail_on_bayer, "bayer_bggr8 cannot be converted"),
        (swap_on_bayer, "it reads bayer_bggr8, .* otherwise than rosbags-image"),
        (lambda image: rosbags_image(image)[..., ::-1], "bgr8 does not become rgb8"),
        (lambda image: rosbags_image(image)[..., 0], r"bayer_bggr8 becomes uint8 \(4, 4\)"),
    ],
)
def test_a_cv_bridge_that_fails_is_not(monkeypatch, convert, why):
    bridge(monkeypatch, convert)
    chosen = choose_converter()
    assert (chosen.name, chosen.convert) == ("rosbags-image", rosbags_image)
    assert re.search(why, chosen.why), chosen.why


def test_neither_is_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv_bridge", None)
    monkeypatch.setitem(sys.modules, "rosbags.image", None)
    with pytest.raises(ValueError, match="no converter of images: cv_bridge cannot be imported"):
        choose_converter()


def test_the_cv_bridge_of_this_installation_gives_the_same_arrays():
    """Where there is one that works at all, see `choose_converter`."""
    chosen = choose_converter()
    assert "otherwise than" not in chosen.why
