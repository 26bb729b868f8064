# SPDX-License-Identifier: Apache-2.0
"""What may happen between frames: physically sound, and worth showing."""

import mujoco
import numpy as np
import pytest
from scenes import LOWER, NEXT, UPPER, boxes, places

from fpt_ros.simulation import events, flow
from fpt_ros.simulation.events import State


def dynamics_of(joint: int, tries: int) -> np.ndarray:
    """How far each box moved in each event [tries, 3, 3], metres, when one of them is pushed."""
    model, scratch, state = boxes()
    found = []
    for seed in range(tries):
        rng = np.random.default_rng(seed)
        event = events.dynamics(model, scratch, state, [joint], rng)
        assert event is not None and event.kind == "dynamics" and 0.1 <= event.dt <= 0.5
        found.append(places(event.after) - places(state))
    return np.array(found)


def test_pushed_box_pushes_the_next_one():
    """The next box moves only where the pushed one came its way, and then as pushed."""
    moved = dynamics_of(LOWER, 60)
    touched = np.linalg.norm(moved[:, NEXT, :2], axis=1) > 0.005
    assert 5 < touched.sum() < 40
    assert (moved[touched, LOWER, 0] > 0.02).all()
    assert (moved[touched, NEXT, 0] > 0).all()


def test_what_lies_on_a_moving_thing_comes_along_or_falls():
    moved = dynamics_of(LOWER, 60)
    far = np.linalg.norm(moved[:, LOWER, :2], axis=1) > 0.03
    along = np.linalg.norm(moved[:, UPPER, :2], axis=1) > 0.005
    fallen = moved[:, UPPER, 2] < -0.03
    assert far.sum() > 10
    assert along[far].mean() > 0.9
    assert 0 < fallen.sum() < 30
    np.testing.assert_allclose(dynamics_of(NEXT, 5)[:, UPPER, 2], 0, atol=0.03)


def test_a_box_is_often_pushed_at_a_neighbour():
    model, scratch, _ = boxes()
    mujoco.mj_forward(model, scratch)
    towards = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        x, y, _ = events.velocity(model, scratch, LOWER, [LOWER, NEXT], rng)
        towards += abs(np.arctan2(y, x)) < 0.3
    assert 0.5 < towards / 200 < 0.85


def test_motion_may_go_on_by_itself():
    """From a state with velocities, some events push nothing: the box slides on, and stops."""
    model, scratch, state = boxes()
    sliding = State(state.qpos, np.zeros(model.nv))
    sliding.qvel[12] = 1.0
    ways = []
    for seed in range(20):
        event = events.dynamics(model, scratch, sliding, [NEXT], np.random.default_rng(seed))
        ways.append(places(event.after)[NEXT] - places(state)[NEXT])
    alone = [way for way in ways if abs(way[1]) < 1e-3]
    assert 4 < len(alone) < 17
    assert all(0.05 < way[0] < 0.2 for way in alone)


def test_what_carries_something_is_not_moved_without_physics():
    model, scratch, state = boxes()
    for seed in range(30):
        rng = np.random.default_rng(seed)
        assert events.kinematic(model, scratch, state, [LOWER], rng) is None
    alone = [
        events.kinematic(model, scratch, state, [UPPER], np.random.default_rng(seed))
        for seed in range(30)
    ]
    kept = [event for event in alone if event]
    assert len(kept) > 5
    for event in kept:
        np.testing.assert_array_equal(places(event.after)[LOWER], places(state)[LOWER])


def test_moves_into_other_bodies_are_refused():
    """Two boxes 1 cm apart: what is kept never reaches deeper than allowed into the other."""
    model = mujoco.MjModel.from_xml_string("""<mujoco><worldbody>
        <body><freejoint/><geom type="box" size="0.1 0.1 0.1"/></body>
        <geom type="box" size="0.1 0.1 0.1" pos="0.21 0 0"/>
        </worldbody></mujoco>""")
    scratch, rng = mujoco.MjData(model), np.random.default_rng(0)
    state, kept = State.at_rest(model, model.qpos0), []
    for _ in range(200):
        event = events.kinematic(model, scratch, state, [0], rng)
        if event:
            kept.append(events.penetration(scratch))
    assert 50 < len(kept) < 190
    assert max(kept) <= events.DEEPEST_NEW_CONTACT


def test_a_move_goes_on_within_the_joints_limits():
    model = mujoco.MjModel.from_xml_string("""<mujoco><worldbody><body>
        <joint type="slide" axis="1 0 0" range="0 0.5" limited="true"/>
        <geom type="box" size="0.1 0.1 0.1"/></body>
        <body pos="0 1 0"><freejoint/><geom type="box" size="0.1 0.1 0.1"/></body>
        </worldbody></mujoco>""")
    before, after = model.qpos0.copy(), model.qpos0.copy()
    after[0], after[1] = 0.2, 0.1
    mujoco.mju_axisAngle2Quat(after[4:8], np.array([0.0, 0, 1]), 0.4)
    change = np.zeros(model.nv)
    mujoco.mj_differentiatePos(model, change, 1.0, before, after)
    state = State(after, np.zeros(model.nv), change)
    on = events.moved_on(model, state, 1.0)
    assert on[0] == pytest.approx(0.4)
    assert on[1] == pytest.approx(0.2)
    assert 2 * np.arctan2(on[7], on[4]) == pytest.approx(0.8)
    assert events.moved_on(model, state, 5.0)[0] == 0.5


@pytest.mark.parametrize(
    ("length", "moving", "kept"),
    [(0.024, 50, False), (0.026, 50, True), (0.39, 50, True), (0.41, 50, False), (0.1, 7, False)],
)
def test_bounds_of_what_is_worth_keeping(length, moving, kept):
    motion = np.zeros((256, 2))
    motion[:moving, 0] = length
    assert flow.worth_keeping(motion) == kept
