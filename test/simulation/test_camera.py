# SPDX-License-Identifier: Apache-2.0
"""The camera against points worked out by hand and against MuJoCo's own rays."""

import mujoco
import numpy as np
import pytest

from fpt_ros.simulation.camera import Camera
from fpt_ros.simulation.rendering import Renderer

SCENE = """
<mujoco>
  <worldbody>
    <light pos="0 0 3"/>
    <geom type="plane" size="5 5 0.1"/>
    <body name="box" pos="0.1 0 0.1"><freejoint/><geom type="box" size="0.1 0.1 0.1"/></body>
    <body name="ball" pos="-0.25 0.1 0.15"><freejoint/><geom type="sphere" size="0.15"/></body>
  </worldbody>
</mujoco>
"""


def camera(size: int = 120, **changes) -> Camera:
    view = {"azimuth": 70, "elevation": 35, "distance": 1.2, "fovy": 50, "roll": 7} | changes
    return Camera.looking_at(np.array([0, 0, 0.1]), width=size, height=size, **view)


def test_points_by_hand():
    """From 2 m away along +y with 90 degrees, the view is 4 m wide at the target."""
    at = camera(100, azimuth=90, elevation=0, distance=2, fovy=90, roll=0)
    points = np.array([[0, 0, 0.1], [1, 0, 0.1], [0, 0, 1.1], [0, 2, 0.1]])
    pixels, depth = at.project(points)
    np.testing.assert_allclose(pixels, [[50, 50], [75, 50], [50, 25], [50, 50]], atol=1e-9)
    np.testing.assert_allclose(depth, [2, 2, 2, 4])


def test_roll_turns_the_picture_about_its_centre():
    level, rolled = camera(roll=0), camera(roll=90)
    points = np.random.default_rng(0).uniform(-0.3, 0.3, (20, 3))
    x, y = (level.project(points)[0] - level.centre).T
    np.testing.assert_allclose(rolled.project(points)[0] - level.centre, np.stack([y, -x], 1))


def test_back_projection_inverts_projection():
    at = camera()
    points = np.random.default_rng(0).uniform(-0.3, 0.3, (50, 3))
    np.testing.assert_allclose(at.back_project(*at.project(points)), points, atol=1e-12)


@pytest.fixture(scope="module")
def scene():
    model = mujoco.MjModel.from_xml_string(SCENE)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


def test_depth_and_bodies_agree_with_rays(scene):
    """The rasteriser's depth and bodies, checked by casting rays through pixel centres."""
    model, data = scene
    at = camera()
    with Renderer(model, at.width, at.height) as renderer:
        depth, bodies = renderer.geometry(data, at)
    rng, agreeing = np.random.default_rng(0), 0
    for column, row in rng.integers(0, at.width, (300, 2)):
        [towards] = at.back_project(np.array([[column + 0.5, row + 0.5]]), np.ones(1))
        geom = np.zeros(1, np.int32)
        distance = mujoco.mj_ray(model, data, at.position, towards - at.position, None, 1, -1, geom)
        if distance < 0:
            continue
        same_body = model.geom_bodyid[geom[0]] == bodies[row, column]
        agreeing += same_body and abs(distance - depth[row, column]) < 2e-3 * distance
    assert agreeing >= 295  # a ray along an edge may go either way


def test_colour_picture_shows_what_the_geometry_says(scene):
    model, data = scene
    model.geom_rgba[:] = [[0, 0, 1, 1], [1, 0, 0, 1], [0, 1, 0, 1]]
    at = camera()
    with Renderer(model, at.width, at.height) as renderer:
        picture = renderer.colour(data, at).astype(int)
        _, bodies = renderer.geometry(data, at)
    for body, channel in {1: 0, 2: 1}.items():
        shown = picture[bodies == body]
        assert len(shown) > 300
        assert (shown.argmax(1) == channel).mean() > 0.98
