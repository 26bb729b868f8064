# SPDX-License-Identifier: Apache-2.0
"""Flow is exact: checked by rendering again after the move, and by MuJoCo's own kinematics."""

import mujoco
import numpy as np
import pytest

from fpt_ros.simulation import flow, metaworld_scenes, tabletop
from fpt_ros.simulation.camera import Camera
from fpt_ros.simulation.filming import choose_pixels
from fpt_ros.simulation.flow import Poses
from fpt_ros.simulation.rendering import Renderer

SIZE = 200


def drawer_scene():
    """A Meta-World drawer (in the held-out set), open, and a camera in front of it."""
    env = metaworld_scenes.fresh_env("drawer-close-v3", 3)
    env.reset()
    target = env.data.body("drawer_link").xpos
    camera = Camera.looking_at(
        target, azimuth=100, elevation=35, distance=0.7, fovy=50, width=SIZE, height=SIZE
    )
    return env.model, env.data, camera


def table_scene():
    for seed in range(200):
        scene = tabletop.build(np.random.default_rng(seed))
        if "drawers" in scene.names:
            break
    data = mujoco.MjData(scene.model)
    mujoco.mj_forward(scene.model, data)
    target = np.array([*scene.places[0], 0.05])
    camera = Camera.looking_at(
        target, azimuth=80, elevation=40, distance=0.8, fovy=50, width=SIZE, height=SIZE
    )
    return scene.model, data, camera


def visible_points(renderer, data, camera):
    depth, bodies = renderer.geometry(data, camera)
    groups = renderer.model.body_weldid[bodies]
    rows, columns = np.divmod(choose_pixels(groups, np.random.default_rng(0)), SIZE)
    pixels = np.column_stack([columns, rows]) + 0.5
    return pixels, camera.back_project(pixels, depth[rows, columns]), bodies[rows, columns]


@pytest.mark.parametrize("make", [drawer_scene, table_scene])
def test_moved_points_are_found_where_the_second_picture_shows_them(make):
    """Render after the move: where flow says a point went, its body is seen at its depth,
    unless something nearer hides it."""
    model, data, camera = make()
    moving = data.qpos.copy()
    slides = np.flatnonzero(model.jnt_type == mujoco.mjtJoint.mjJNT_SLIDE)
    drawer = slides[-1]
    low, high = model.jnt_range[drawer]
    moving[model.jnt_qposadr[drawer]] = low + 0.4 * (high - low)
    with Renderer(model, SIZE, SIZE) as renderer:
        pixels, points, bodies = visible_points(renderer, data, camera)
        start = Poses.of(data)
        data.qpos[:] = moving
        mujoco.mj_forward(model, data)
        end = Poses.of(data)
        depth, seen = renderer.geometry(data, camera)
    motion = flow.exact_flow(camera, points, bodies, start, end)
    moved, expected = camera.project(flow.moved_points(points, bodies, start, end))
    np.testing.assert_allclose(moved - pixels, motion, atol=1e-6)
    travelled = np.linalg.norm(motion, axis=1) > 1
    columns, rows = np.floor(moved).astype(int).T
    inside = (columns >= 0) & (columns < SIZE) & (rows >= 0) & (rows < SIZE) & travelled
    columns, rows, expected = columns[inside], rows[inside], expected[inside]
    hidden = depth[rows, columns] < expected - 0.01
    found = (seen[rows, columns] == bodies[inside]) & (
        np.abs(depth[rows, columns] - expected) < 0.01
    )
    assert np.count_nonzero(inside) >= 20
    assert np.mean(found | hidden) > 0.97
    assert np.mean(found) > 0.6


def test_flow_agrees_with_mujocos_point_velocity():
    """For a small turn of a joint, flow is MuJoCo's point Jacobian, projected by differences."""
    model, data, camera = table_scene()
    with Renderer(model, SIZE, SIZE) as renderer:
        pixels, points, bodies = visible_points(renderer, data, camera)
    joint, step = 0, 1e-5
    start = Poses.of(data)
    jacobian = np.zeros((3, model.nv))
    velocity = np.zeros_like(points)
    for index, (point, body) in enumerate(zip(points, bodies, strict=True)):
        mujoco.mj_jac(model, data, jacobian, None, point, body)
        velocity[index] = jacobian[:, model.jnt_dofadr[joint]]
    data.qpos[model.jnt_qposadr[joint]] += step
    mujoco.mj_forward(model, data)
    motion = flow.exact_flow(camera, points, bodies, start, Poses.of(data))
    expected = (camera.project(points + step * velocity)[0] - pixels) / step
    assert np.abs(expected).max() > 30
    np.testing.assert_allclose(motion / step, expected, rtol=1e-3, atol=0.2)


def test_static_points_have_exactly_zero_flow():
    model, data, camera = drawer_scene()
    with Renderer(model, SIZE, SIZE) as renderer:
        _, points, bodies = visible_points(renderer, data, camera)
    start = Poses.of(data)
    data.qpos[-1] = -0.05
    mujoco.mj_forward(model, data)
    motion = flow.exact_flow(camera, points, bodies, start, Poses.of(data))
    static = model.body_weldid[bodies] == 0
    assert static.sum() > 30
    assert (motion[static] == 0).all()
    assert np.abs(motion[~static]).max() > 5


def test_point_behind_the_camera_gives_no_flow():
    camera = Camera.looking_at(np.zeros(3), 90, 0, 1, 60, SIZE, SIZE)
    still = Poses(np.zeros((1, 3)), np.eye(3)[None])
    passing = Poses(np.array([[0, -2.0, 0]]), np.eye(3)[None])
    point, body = np.zeros((1, 3)), np.zeros(1, int)
    assert flow.exact_flow(camera, point, body, still, passing) is None
