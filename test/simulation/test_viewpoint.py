# SPDX-License-Identifier: Apache-2.0
"""Cameras that move: by how much, how, and never into things."""

import mujoco
import numpy as np
import pytest

from fpt_ros.simulation.camera import Camera
from fpt_ros.simulation.viewpoint import Viewpoint, is_clear, moving, still

VIEW = Viewpoint(np.array([0.1, 0.0, 0.05]), 80.0, 35.0, 0.7, 50.0, 2.0)


def shifts(seed: int) -> np.ndarray:
    """Median shift of points round the target at each step of a path, image sides."""
    points = VIEW.target + np.random.default_rng(0).uniform(-0.2, 0.2, (200, 3))
    cameras = moving(VIEW, 6, 100, np.random.default_rng(seed))
    tracks = np.array([camera.project(points)[0] / 100 for camera in cameras])
    return np.median(np.linalg.norm(np.diff(tracks, axis=0), axis=-1), axis=1)


def test_paths_are_from_hardly_visible_to_large():
    found = np.array([shifts(seed) for seed in range(200)])
    assert (found.max(1) > 1e-4).all()
    assert np.quantile(found, 0.2) < 0.008
    assert 0.008 < np.median(found) < 0.04
    assert 0.06 < np.quantile(found, 0.97) < 0.25


def test_a_path_passes_the_viewpoint_and_a_still_camera_stays():
    """Without shake, one frame of a path is the viewpoint itself."""
    same = [
        any(np.allclose(camera.position, VIEW.camera(100).position) for camera in path)
        for path in (moving(VIEW, 6, 100, np.random.default_rng(seed)) for seed in range(60))
    ]
    assert 0.2 < np.mean(same) < 0.7
    assert len({id(camera) for camera in still(VIEW, 4, 100)}) == 1


@pytest.mark.parametrize(
    ("position", "clear"),
    [([0, 0, 0.5], True), ([0, 0, 0.12], False), ([0, 0, 0.16], True), ([0.3, 0, -0.1], False)],
)
def test_cameras_in_or_at_things_are_refused(position, clear):
    model = mujoco.MjModel.from_xml_string("""<mujoco><worldbody>
        <geom type="box" size="0.1 0.1 0.1"/>
        <geom type="plane" size="1 1 0.1" pos="0 0 0"/></worldbody></mujoco>""")
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    look = VIEW.camera(100)
    camera = Camera(np.array(position, float), look.axes, look.fovy, 100, 100)
    assert is_clear(model, data, camera) == clear
