"""ROS's own image messages, read with whichever converter works here."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest
from rclpy.time import Time
from ros_harness import image_message, scene

from fpt_ros.images import ImageError
from fpt_ros.ros import images

RGB = scene(10, 6)


@pytest.fixture(autouse=True)
def forgotten():
    images._cv_bridge.cache_clear()
    yield
    images._cv_bridge.cache_clear()


def message():
    return image_message(RGB, Time().to_msg())


def test_a_message():
    np.testing.assert_array_equal(images.image_to_rgb(message()), RGB)
    wrong = message()
    wrong.encoding = "32FC1"
    with pytest.raises(ImageError, match="encoding is '32FC1'"):
        images.image_to_rgb(wrong)


def bridge(monkeypatch, pixels):
    """Puts a cv_bridge in place whose answers are `pixels` of an image, as rows."""
    module = ModuleType("cv_bridge")

    class CvBridge:
        def imgmsg_to_cv2(self, image, desired_encoding):
            assert desired_encoding == "rgb8"
            return pixels(np.asarray(image.data).reshape(image.height, image.width, 3))

    module.CvBridge = CvBridge
    monkeypatch.setitem(sys.modules, "cv_bridge", module)


def test_a_cv_bridge_that_works_is_used(monkeypatch):
    bridge(monkeypatch, lambda pixels: pixels[..., ::-1])
    np.testing.assert_array_equal(images.image_to_rgb(message()), RGB[..., ::-1])


def fail(_):
    raise SystemError("initialization of cv_bridge_boost raised unreported exception")


@pytest.mark.parametrize("answer", [fail, lambda pixels: pixels])
def test_a_cv_bridge_that_fails_is_not(monkeypatch, answer):
    bridge(monkeypatch, answer)
    np.testing.assert_array_equal(images.image_to_rgb(message()), RGB)
