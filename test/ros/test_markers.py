# SPDX-License-Identifier: Apache-2.0
"""Markers lie where a camera of this CameraInfo sees the pixels."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, RegionOfInterest

from fpt_ros.ros.markers import plane_of

K = [600.0, 0.0, 320.0, 0.0, 590.0, 240.0, 0.0, 0.0, 1.0]
PIXELS = np.array([[320, 240], [100, 100], [600, 400]], np.float32)


def projected(points, p):
    """As a display does it: with P, and its shift."""
    matrix = np.reshape(p, (3, 4))
    image = np.array([[q.x, q.y, q.z] for q in points]) @ matrix[:, :3].T + matrix[:, 3]
    return image[:, :2] / image[:, 2:]


@pytest.mark.parametrize(
    "p",
    [
        [600.0, 0, 320, 0, 0, 590, 240, 0, 0, 0, 1, 0],
        [560.0, 0, 331, 0, 0, 575, 236, 0, 0, 0, 1, 0],  # of a rectified image
        [600.0, 0, 320, -36, 0, 600, 240, 2, 0, 0, 1, 0],  # of the right camera of a pair
    ],
)
def test_projection(p):
    points = plane_of((640, 480), CameraInfo(width=640, height=480, k=K, p=p)).points(PIXELS)
    np.testing.assert_allclose(projected(points, p), PIXELS, atol=1e-3)


def test_binning_and_region_of_interest():
    """Pixel (u, v) of the image is sensor pixel (offset + binning * u, ...)."""
    p = [560.0, 0, 331, -30, 0, 575, 236, 0, 0, 0, 1, 0]
    roi = RegionOfInterest(x_offset=40, y_offset=20, width=400, height=300)
    info = CameraInfo(width=640, height=480, k=K, p=p, binning_x=2, binning_y=2, roi=roi)
    pixels = np.array([[0, 0], [199, 149], [77, 31]], np.float32)
    points = plane_of((200, 150), info).points(pixels)
    np.testing.assert_allclose(projected(points, p), pixels * 2 + (40, 20), atol=1e-3)


def test_without_p_it_is_k_and_without_calibration_an_assumed_camera():
    from_k = plane_of((640, 480), CameraInfo(width=640, height=480, k=K))
    assert (from_k.fx, from_k.fy, from_k.cx, from_k.cy) == (600, 590, 320, 240)
    assumed = plane_of((640, 480), None)
    assert plane_of((640, 480), CameraInfo(width=640, height=480)) == assumed
    assert plane_of((640, 480), CameraInfo(width=320, height=240, k=K)) == assumed
