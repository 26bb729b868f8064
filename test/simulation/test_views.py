# SPDX-License-Identifier: Apache-2.0
"""Tracks and visibility by a second method: rays cast by MuJoCo, and the pictures themselves."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from fpt_ros.simulation import filming, looks, room, tabletop, viewpoint
from fpt_ros.simulation.flow import Poses
from fpt_ros.simulation.rendering import Renderer
from fpt_ros.simulation.views import View, exact_tracks

SIZE = 128


def linked(seed: int, camera_moves: bool, size: int = SIZE):
    """A chain of three frames of a random table, and the scene's stage."""
    rng = np.random.default_rng([seed, 5])
    while True:
        stage = tabletop.TabletopStage(tabletop.build(rng))
        data = mujoco.MjData(stage.model)
        state = stage.begin(rng)
        filming.pose(stage.model, data, state)
        view = stage.viewpoint(data, rng)
        moving = viewpoint.moving(view, 3, size, rng)
        cameras = moving if camera_moves else viewpoint.still(view, 3, size)
        with Renderer(stage.model, size, size) as renderer:
            chain = filming.link(stage, renderer, data, state, cameras, rng)
        if chain:
            return stage, chain


def cast(model, data, camera, points):
    """Where rays through points of the picture, in [0, 1], hit what: places and geoms."""
    right, down, forward = camera.axes
    half = np.tan(np.radians(camera.fovy) / 2)
    places, geoms = np.zeros((len(points), 3)), np.full(len(points), -1)
    for index, (x, y) in enumerate(points):
        ray = forward + half * ((2 * x - 1) * right + (2 * y - 1) * down)
        geom = np.zeros(1, np.int32)
        way = mujoco.mj_ray(model, data, camera.position, ray, None, 1, -1, geom)
        places[index], geoms[index] = camera.position + way * ray, geom[0] if way > 0 else -1
    return places, geoms


@pytest.mark.parametrize(("seed", "camera_moves"), [(2, True), (4, True), (7, False)])
def test_tracks_and_visibility_agree_with_rays(seed, camera_moves):
    """The hit of a ray in the first frame, carried by MuJoCo's own poses and projected by hand, is
    where the track says; a second ray towards it tells whether something hides it."""
    stage, chain = linked(seed, camera_moves)
    model, first, last = stage.model, mujoco.MjData(stage.model), mujoco.MjData(stage.model)
    filming.pose(model, first, chain.states[0])
    filming.pose(model, last, chain.states[2])
    start, end = chain.views[0].camera, chain.views[2].camera
    queries = chain.queries[0]
    tracks, visible = exact_tracks(chain.views, queries)
    places, geoms = cast(model, first, start, queries[:, 1:])
    hit = geoms >= 0
    bodies = model.geom_bodyid[geoms]
    turns = last.xmat.reshape(-1, 3, 3) @ first.xmat.reshape(-1, 3, 3).transpose(0, 2, 1)
    moved = last.xpos[bodies] + np.einsum("nij,nj->ni", turns[bodies], places - first.xpos[bodies])
    x, y, depth = ((moved - end.position) @ end.axes.T).T
    half = np.tan(np.radians(end.fovy) / 2)
    expected = 0.5 + 0.5 * np.column_stack([x, y]) / depth[:, None] / half
    close = np.linalg.norm(tracks[2] - expected, axis=1) * SIZE < 0.3
    assert close[hit].mean() > 0.97  # a ray along an edge may hit either side
    inside = ((expected >= 0) & (expected < 1)).all(1)
    seen, hits = cast(model, last, end, expected)
    near = np.linalg.norm(seen - moved, axis=1) < 0.01 * np.abs(depth)
    truly = near & inside & (model.geom_bodyid[hits] == bodies)
    assert (visible[2] == truly)[hit & close].mean() > 0.92  # outlines
    assert visible[0].all()


def test_hidden_points_are_told():
    """A box slides in front of another: the other's points are hidden by it, and only they."""
    model = mujoco.MjModel.from_xml_string("""<mujoco><worldbody><light pos="0 0 3"/>
        <body name="far" pos="0 0.5 0.1"><geom type="box" size="0.2 0.05 0.1"/></body>
        <body name="near" pos="-0.3 0 0.1"><joint type="slide" axis="1 0 0"/>
          <geom type="box" size="0.05 0.05 0.08"/></body>
        </worldbody></mujoco>""")
    data = mujoco.MjData(model)
    look = viewpoint.Viewpoint(np.array([0, 0.2, 0.1]), 90, 5, 1.2, 50, 0).camera(SIZE)
    views = []
    with Renderer(model, SIZE, SIZE) as renderer:
        for place in (0.0, 0.3):
            data.qpos[0] = place
            mujoco.mj_forward(model, data)
            views.append(View.of(renderer, data, look))
    rows, columns = np.nonzero(views[0].bodies == model.body("far").id)
    points = (np.column_stack([columns, rows]) + 0.5) / SIZE
    tracks, visible = exact_tracks(views, np.column_stack([np.zeros(len(points)), points]))
    np.testing.assert_allclose(tracks[1], points, atol=1e-9)
    covered = views[1].bodies[rows, columns] == model.body("near").id
    assert covered.sum() > 100
    inner = np.ones(len(points), bool)
    for shift in (-1, 1):  # an outline's pixels count for both sides
        inner &= (views[1].bodies[rows, columns + shift] == model.body("near").id) == covered
        inner &= (views[1].bodies[rows + shift, columns] == model.body("near").id) == covered
    np.testing.assert_array_equal(visible[1][inner], ~covered[inner])


def test_sky_turns_with_the_camera_and_does_not_shift():
    spec, rng = mujoco.MjSpec(), np.random.default_rng(2)
    room.add_materials(spec, rng)
    room.add_texture(spec, "sky", mujoco.mjtTexture.mjTEXTURE_SKYBOX, 128)
    model = spec.compile()
    face = np.kron(rng.integers(30, 256, (12, 12, 3)), np.ones((11, 11, 1)))[:128, :128]
    model.tex_data[model.tex_adr[-1] :] = np.tile(face, (6, 1, 1)).ravel()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    look = viewpoint.Viewpoint(np.zeros(3), 80, 20, 1.0, 50, 0)
    shifted = viewpoint.moved(look, np.array([0.5, -0.3, 0.2, 0, 0, 0, 0]), 1)
    turned = viewpoint.moved(look, np.array([0, 0, 0, 9, 4, 0, 0]), 1)
    cameras = [view.camera(SIZE) for view in (look, shifted, turned)]
    with Renderer(model, SIZE, SIZE) as renderer:
        views = [View.of(renderer, data, camera) for camera in cameras]
        pictures = [renderer.colour(data, camera).astype(float) for camera in cameras]
    points = rng.uniform(0.3, 0.7, (300, 2))
    tracks, visible = exact_tracks(views, np.column_stack([np.zeros(300), points]))
    np.testing.assert_allclose(tracks[1], points, atol=1e-6)
    assert np.linalg.norm(tracks[2] - points, axis=1).min() > 0.1
    assert visible.all()

    def colours(number, places):
        x, y = (places * SIZE).astype(int).T
        return pictures[number][y, x]

    for number in (1, 2):
        same = np.abs(colours(number, tracks[number]) - colours(0, points)).mean(1) < 20
        assert same.mean() > 0.85
    assert (np.abs(colours(2, points) - colours(0, points)).mean(1) < 20).mean() < 0.5


def test_looks_of_visible_points_stay():
    """Where a track goes, the picture has the colour that it had where the track began."""
    stage, chain = linked(3, True)
    for texture in range(stage.model.ntex):
        looks.paint_texture(stage.model, texture, np.random.default_rng(texture))
    data, pictures = mujoco.MjData(stage.model), []
    with Renderer(stage.model, SIZE, SIZE) as renderer:
        for state, view in zip(chain.states, chain.views, strict=True):
            filming.pose(stage.model, data, state)
            pictures.append(renderer.colour(data, view.camera).astype(float))
    tracks, visible = exact_tracks(chain.views, chain.queries[0])

    def change(places):
        (x, y), (a, b) = ((p[visible[1]] * SIZE).astype(int).T for p in (places, tracks[0]))
        return np.median(np.abs(pictures[1][y, x] - pictures[0][b, a]).mean(1))

    elsewhere = np.random.default_rng(0).uniform(0, 1, tracks[1].shape)
    assert change(tracks[1]) < 0.5 * change(elsewhere)


def test_poses_are_those_of_the_state():
    """What a chain's views say is what MuJoCo computes from its states."""
    stage, chain = linked(4, False)
    for state, view in zip(chain.states, chain.views, strict=True):
        data = mujoco.MjData(stage.model)
        data.qpos[:] = state.qpos
        mujoco.mj_forward(stage.model, data)
        np.testing.assert_allclose(view.poses.positions, Poses.of(data).positions, atol=1e-9)
