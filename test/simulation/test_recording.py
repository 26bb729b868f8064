# SPDX-License-Identifier: Apache-2.0
"""The demo's recording: a scene that moves, and pokes whose true outcome is right."""

import numpy as np
import pytest

from fpt_ros.simulation.recording import record


def named(recording, name):
    return next(poke for poke in recording.pokes if poke.name == name)


@pytest.fixture(scope="module")
def recording():
    return record(width=160, height=120, seconds=1.0, rate=5.0)


def test_frames_show_a_moving_scene_from_a_static_camera(recording):
    assert recording.frames.shape == (5, 120, 160, 3) and recording.frames.dtype == np.uint8
    change = np.abs(recording.frames[-1].astype(int) - recording.frames[0]).max(2)
    assert 0.02 < (change > 40).mean() < 0.4


def test_pokes_say_where_their_own_point_goes(recording):
    assert len({poke.name for poke in recording.pokes}) == 4
    for poke in recording.pokes:
        column, row = poke.position
        np.testing.assert_allclose(poke.flow[row, column], poke.displacement)
        assert np.hypot(*poke.displacement) > 4
        assert 0.005 < (np.abs(poke.flow).max(2) > 1).mean() < 0.4


def test_only_what_is_poked_moves(recording):
    """The drawer's pixels move with the drawer alone, the arm's with the arm alone."""
    moves = {poke.name: np.abs(poke.flow).max(2) > 0.5 for poke in recording.pokes}
    assert not (moves["push the drawer"] & moves["lift the gripper"]).any()
    assert not (moves["pull the drawer"] & moves["swing the arm"]).any()


def test_named_points_lie_on_what_they_name(recording):
    push = recording.pokes[0]
    flows = {name: np.hypot(*push.flow[y, x]) for name, (x, y) in push.points.items()}
    assert {name for name, length in flows.items() if length > 1} == {"drawer", "drawer, far point"}
    assert len(set(push.points.values())) == len(push.points)


def test_picture_after_the_arm_moved_agrees_with_its_flow():
    """The arm-only poke shows the arm of a later frame: colours found there are the same."""
    recording = record(width=160, height=120, seconds=0.5, rate=10.0)
    gripper = recording.pokes[1]
    after = recording.frames[3].astype(float)
    rows, columns = np.nonzero(np.abs(gripper.flow).max(2) > 1)
    ends = np.column_stack([columns, rows]) + gripper.flow[rows, columns]
    x, y = np.round(ends).astype(int).T
    inside = (x >= 0) & (x < 160) & (y >= 0) & (y < 120)
    before = recording.frames[0].astype(float)[rows, columns][inside]
    along = np.abs(after[y[inside], x[inside]] - before).mean()
    stayed = np.abs(after[rows, columns][inside] - before).mean()
    assert along < 0.6 * stayed
