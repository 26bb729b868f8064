# SPDX-License-Identifier: Apache-2.0
"""Markers lie where a camera of this CameraInfo sees the pixels."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, RegionOfInterest
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from fpt_ros.engine.motion import Motion
from fpt_ros.ros.markers import motion_markers
from fpt_ros.ros.projection import plane_of

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
    camera = from_k.camera
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (600, 590, 320, 240)
    assumed = plane_of((640, 480), None)
    assert plane_of((640, 480), CameraInfo(width=640, height=480)) == assumed
    assert plane_of((640, 480), CameraInfo(width=320, height=240, k=K)) == assumed


X, Y = np.meshgrid(np.arange(32) * 20 + 9.5, np.arange(24) * 20 + 9.5)
LEFT = X.ravel() < 320


def motion(shift=(-30.0, 0.0)):
    """The left half of a grid moves."""
    count = X.size
    means = np.where(LEFT[:, None], shift, (0.0, 0.0)).astype(np.float32)[:, None]
    return Motion(
        pokes=np.array([[100, 240, -30, 0]], np.float32),
        points=np.stack([X.ravel(), Y.ravel()], axis=1).astype(np.float32),
        weights=np.ones((count, 1), np.float32),
        means=means,
        covariances=np.tile(np.eye(2, dtype=np.float32) * 9, (count, 1, 1, 1)),
        image_size=(640, 480),
        grid=(32, 24),
    )


def pixels_of(marker, p):
    return projected(marker.points, p)


@pytest.mark.parametrize("depth", [None, np.linspace(0.5, 3, 640 * 480).reshape(480, 640)])
def test_all_lies_at_its_pixels_and_before_what_it_lies_on(depth):
    p = [560.0, 0, 331, -36, 0, 575, 236, 2, 0, 0, 1, 0]
    info = CameraInfo(width=640, height=480, k=K, p=p)
    clear, *shown = motion_markers(motion(), Header(frame_id="camera"), info, depth).markers
    assert clear.action == Marker.DELETEALL
    named = {(marker.ns, marker.id): marker for marker in shown}
    assert len(named) == len(shown)
    assert {ns for ns, _ in named} == {"moving_part", "uncertainty", "motion", "pokes", "legend"}
    for marker in shown:
        assert marker.header.frame_id == "camera"
        assert len(marker.colors) in (0, len(marker.points), len(marker.points) // 3)
    np.testing.assert_allclose(
        pixels_of(named["pokes", 1], p)[:2], [[100, 240], [70, 240]], atol=1e-2
    )
    tint = named["moving_part", 0]
    where = pixels_of(tint, p)
    np.testing.assert_allclose(where, motion().points[LEFT], atol=1e-2)
    x, y = np.rint(where).astype(int).T
    under = 1.0 if depth is None else depth[y, x]
    z = np.array([point.z for point in tint.points])
    assert (z < under).all() and (z > 0.95 * under).all()


def test_where_nothing_moves_only_the_legend_says_so():
    _, *shown = motion_markers(motion((0.5, 0.0)), Header(), None).markers
    assert {marker.ns for marker in shown} == {"pokes", "legend"}
    assert [marker.text for marker in shown if marker.text] == ["nothing moves"]


def test_scattered_points_have_no_tint_and_no_points_are_no_fault():
    some = motion()
    few = dataclasses.replace(
        some,
        points=some.points[:3],
        weights=some.weights[:3],
        means=some.means[:3],
        covariances=some.covariances[:3],
        grid=(0, 0),
    )
    names = {marker.ns for marker in motion_markers(few, Header(), None).markers}
    assert names == {"", "uncertainty", "motion", "pokes", "legend"}
    none = dataclasses.replace(
        few,
        pokes=few.pokes[:0],
        points=few.points[:0],
        weights=few.weights[:0],
        means=few.means[:0],
        covariances=few.covariances[:0],
    )
    assert {marker.ns for marker in motion_markers(none, Header(), None).markers} == {"", "legend"}
