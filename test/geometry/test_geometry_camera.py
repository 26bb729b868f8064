# SPDX-License-Identifier: Apache-2.0
"""Cameras and depth images."""

import numpy as np
import pytest

from fpt_ros.geometry import Camera, depth_at, read_depth

K = [500.0, 0, 320, 0, 510, 240, 0, 0, 1]
P = [480.0, 0, 310, -24, 0, 480, 235, 0, 0, 0, 1, 0]
BENT = [-0.3, 0.1, 0.001, -0.002, 0.0]
PIXELS = np.array([[10.0, 20], [320, 240], [600, 400]])
DEPTH = np.array([0.5, 1.0, 2.0])


@pytest.mark.parametrize(
    "camera",
    [
        Camera.from_info(640, 480, K, P),
        Camera.from_info(640, 480, K, P, BENT, "plumb_bob", rectified=False),
        Camera.from_info(640, 480, K, P, [0.1, 0.01, 0, 0], "equidistant", rectified=False),
        Camera.from_info(640, 480, K, P, binning=(2, 2), roi=(40, 20, 400, 300)),
    ],
)
def test_there_and_back(camera):
    points = camera.unproject(PIXELS, DEPTH)
    np.testing.assert_allclose(camera.project(points), PIXELS, atol=0.1)
    np.testing.assert_allclose(points[:, 2], DEPTH)
    straight = camera.straight().project(points)
    np.testing.assert_allclose(straight, camera.straightened(PIXELS), atol=1e-6)


def test_rectified_images_are_seen_through_p_and_raw_ones_through_k_and_d():
    point = np.array([[0.1, 0.2, 1.0]])
    rectified = Camera.from_info(640, 480, K, P, BENT, "plumb_bob")
    np.testing.assert_allclose(rectified.project(point), [[480 * 0.1 + 310 - 24, 331]])
    raw = Camera.from_info(640, 480, K, P, BENT, "plumb_bob", rectified=False)
    assert raw.fx == 500
    assert np.linalg.norm(raw.project(point) - [[370, 342]]) > 1


def test_binning_and_region_of_interest():
    camera = Camera.from_info(640, 480, K, binning=(2, 2), roi=(40, 20, 400, 300))
    assert (camera.width, camera.height) == (200, 150)
    np.testing.assert_allclose(camera.project(np.array([[0, 0, 1.0]])), [[140, 110]])


def test_behind_the_camera_is_nowhere():
    assert np.isnan(Camera.guessed(64, 48).project(np.array([[0, 0, -1.0]]))).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": [0.0] * 9}, "not calibrated"),
        ({"k": K, "d": BENT, "model": "odd", "rectified": False}, "distortion_model"),
    ],
)
def test_what_is_not_a_camera(arguments, message):
    with pytest.raises(ValueError, match=message):
        Camera.from_info(640, 480, **arguments)


def test_depth_images():
    metres = read_depth(np.array([[0, 1500]], np.uint16))
    np.testing.assert_allclose(metres, [[np.nan, 1.5]])
    odd = read_depth(np.array([[np.inf, -1, 0, np.nan, 2]], np.float32))
    assert np.isnan(odd[0, :4]).all() and odd[0, 4] == 2
    with pytest.raises(ValueError, match="depth is float64"):
        read_depth(np.zeros((2, 2)))


def test_the_nearest_depth_fills_small_holes():
    depth = np.full((9, 9), np.nan, np.float32)
    depth[4, 4], depth[4, 6] = 1.0, 2.0
    found = depth_at(depth, np.array([[4, 4], [5.6, 4], [4, 2], [4, 0], [-9, 4], [np.nan, 1]]))
    np.testing.assert_array_equal(found, [1, 2, 1, np.nan, np.nan, np.nan])
