# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import mujoco
import numpy as np
import pytest

from fpt_ros.simulation import borrowed, splits
from fpt_ros.simulation.filming import pose


@pytest.fixture(params=borrowed.SCENES)
def stage(request) -> borrowed.BorrowedStage:
    return borrowed.BorrowedStage(request.param, borrowed.pristine(request.param))


def test_a_clip_shows_things_that_move_and_is_the_same_again():
    def clip():
        return next(splits.scene_clips("heldout_f", [0, 7, 0, 1], 64, 2))

    first, again = clip(), clip()
    assert first.meta["source"] == "gymnasium-robotics"
    assert first.meta["scene"] in borrowed.SCENES and first.meta["camera"] == "static"
    way = np.linalg.norm(first.tracks[1] - first.tracks[0], axis=-1)
    assert (way[first.bodies == 0] == 0).all() and way[first.bodies > 0].max() > 0.02
    assert (first.frames == again.frames).all() and (first.tracks == again.tracks).all()


def test_either_things_move_or_the_robot(stage):
    rng = np.random.default_rng(0)
    robot = stage.model.jnt_dofadr[stage.robot]
    state = stage.begin(rng)
    seen = set()
    for _ in range(60):
        event = stage.propose(state, rng)
        if event is None:
            continue
        change = np.zeros(stage.model.nv)
        mujoco.mj_differentiatePos(stage.model, change, 1, state.qpos, event.after.qpos)
        moved = np.flatnonzero(np.abs(change) > 1e-9)
        of_robot = set(moved) & set(robot)
        assert of_robot == (set(moved) if event.kind == "arm" else set())
        seen.add(event.kind)
    assert seen == {"arm", "kinematic"}


def test_joints_stay_in_their_range(stage):
    model, rng = stage.model, np.random.default_rng(1)
    for _ in range(20):
        qpos = stage.begin(rng).qpos
        for joint in (*stage.robot, *stage.things):
            if model.jnt_limited[joint]:
                low, high = model.jnt_range[joint]
                assert low - 1e-4 <= qpos[model.jnt_qposadr[joint]] <= high + 1e-4


def test_cameras_look_at_a_thing_from_the_front(stage):
    rng, data = np.random.default_rng(2), mujoco.MjData(stage.model)
    pose(stage.model, data, stage.begin(rng))
    places = data.xipos[stage.model.jnt_bodyid[stage.things]]
    for _ in range(20):
        view = stage.viewpoint(data, rng)
        away = np.linalg.norm(places - view.target, axis=1).min()
        assert away < 0.5 * view.distance and 30 <= view.azimuth <= 150
