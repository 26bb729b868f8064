# SPDX-License-Identifier: Apache-2.0
"""The picture in space: what is seen at a pixel lies where the camera sees it."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from fpt_ros.poke_tool.frames import rotation_matrix
from fpt_ros.poke_tool.handles import handles
from fpt_ros.poke_tool.session import Session
from fpt_ros.poke_tool.view import UPRIGHT, cloud_of, info_of
from fpt_ros.ros.cameras import shown_camera
from fpt_ros.ros.projection import Surface

P = [560.0, 0, 331, -30, 0, 575, 236, 0, 0, 0, 1, 0]
CAMERA = shown_camera((640, 480), CameraInfo(width=640, height=480, p=P))
RGB = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)


def read(cloud):
    """Positions [rows, columns, 3] and colours [rows, columns, 3] as RViz reads them."""
    raw = np.frombuffer(cloud.data, np.uint8).reshape(cloud.height, cloud.width, cloud.point_step)
    positions = np.ascontiguousarray(raw[..., :12]).view(np.float32)
    return positions, raw[..., [14, 13, 12]]


@pytest.mark.parametrize("depth", [None, np.linspace(0.5, 4, 640 * 480).reshape(480, 640)])
def test_the_cloud_is_seen_at_its_pixels_in_its_colours(depth):
    cloud = cloud_of(RGB, Surface(CAMERA, depth), Header(frame_id="camera"))
    positions, colors = read(cloud)
    assert (cloud.header.frame_id, cloud.row_step) == ("camera", 16 * cloud.width)
    assert (cloud.height, cloud.width) == (240, 320)  # of a large picture every second pixel
    homogeneous = positions.reshape(-1, 3) @ np.reshape(P, (3, 4))[:, :3].T
    homogeneous = homogeneous + np.reshape(P, (3, 4))[:, 3]
    y, x = np.mgrid[0:480:2, 0:640:2]
    np.testing.assert_allclose(homogeneous[:, 0] / homogeneous[:, 2], x.ravel(), atol=1e-2)
    np.testing.assert_allclose(homogeneous[:, 1] / homogeneous[:, 2], y.ravel(), atol=1e-2)
    np.testing.assert_allclose(positions[..., 2], 1.0 if depth is None else depth[::2, ::2])
    assert (colors == RGB[::2, ::2]).all()


def test_holes_in_depth_are_holes_in_the_cloud():
    depth = np.full((480, 640), 2.0)
    depth[100:110] = np.nan
    positions, _ = read(cloud_of(RGB, Surface(CAMERA, depth), Header()))
    assert np.isnan(positions[50:55]).all()
    assert np.isfinite(positions[:50]).all()


def test_the_camera_info_of_the_picture_has_its_projection():
    info = info_of(CAMERA, Header())
    np.testing.assert_allclose(info.p, P)
    assert shown_camera((640, 480), info) == CAMERA


def test_the_frame_of_the_view_is_upright():
    """REP 103: x ahead, y left, z up, from the optical x right, y down, z ahead."""
    in_optical = rotation_matrix(*UPRIGHT)
    np.testing.assert_allclose(in_optical, [[0, -1, 0], [0, 0, -1], [1, 0, 0]], atol=1e-12)


def test_surface_fills_small_holes_with_their_neighbours():
    depth = np.full((480, 640), 2.0)
    depth[:, 320:] = 3.0
    depth[100:103, 400:403] = np.nan  # small
    depth[300:, :200] = np.nan  # large
    surface = Surface(CAMERA, depth)
    pixels = np.array([[10, 10], [401, 101], [50, 400], [-5, 1000]])
    np.testing.assert_allclose(surface.depth_at(pixels)[:2], [2, 3])
    assert np.isfinite(surface.depth_at(pixels)).all()
    nothing = Surface(CAMERA, np.full((480, 640), np.nan))
    np.testing.assert_allclose(nothing.depth_at(pixels), 1.0)


def test_what_is_beside_the_menu_does_not_hide_its_words():
    depth = np.full((480, 640), 2.0)
    depth[:, 60:] = 0.8  # nearer than what the menu is on
    [menu] = handles(Session(), Surface(CAMERA, depth), (640, 480), "camera", "right click: menu")
    words = menu.controls[0].markers[-1]
    assert words.text == "right click: menu"
    assert menu.pose.position.z < 0.8
    place = menu.pose.position
    seen = CAMERA.project(np.array([[place.x, place.y, place.z]]))
    np.testing.assert_allclose(seen, [[18, 18]], atol=1e-6)  # still at its pixel
