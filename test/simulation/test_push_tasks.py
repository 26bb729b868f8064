# SPDX-License-Identifier: Apache-2.0
"""Tasks for the planner: solvable by an allowed poke, the same for the same seed."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from fpt_ros.inference.predictor import Predictor
from fpt_ros.planning import plan_poke
from fpt_ros.simulation.push_tasks import COVERED, LONGEST, SHORTEST, PushTask, tasks

SIZE = 160


@pytest.fixture(scope="module", params=["train", "heldout_d"])
def task(request) -> PushTask:
    return next(tasks(request.param, 3, SIZE))


def test_the_poke_behind_the_goal_solves_the_task(task):
    outcome = task.world.push(task.solution)
    np.testing.assert_allclose(outcome.displacement(task.point[None])[0], task.goal, atol=1e-6)
    assert (np.linalg.norm(outcome.displacement(task.stay), axis=1) < task.still).all()
    assert all(outcome.largest(group) < task.still for group in task.bystanders)
    x, y = task.solution[:2].astype(int)
    assert task.touchable[y, x]
    assert np.linalg.norm(task.solution[2:]) <= task.reach


def test_the_wanted_point_s_surroundings_are_forbidden(task):
    groups, (x, y) = task.world.groups, task.point.astype(int)
    part = groups == groups[y, x]
    assert part[y, x] and groups[y, x] > 0
    assert (part & ~task.touchable).sum() >= 0.95 * COVERED * part.sum()
    rows, columns = np.nonzero(task.touchable)
    assert np.hypot(columns - x, rows - y).min() > task.radius
    assert SHORTEST <= np.linalg.norm(task.goal) / SIZE <= LONGEST


def test_the_neighbours_are_other_bodies(task):
    x, y = task.stay.astype(int).T
    groups = task.world.groups
    wanted = groups[int(task.point[1]), int(task.point[0])]
    assert set(groups[y, x]) == {0, *task.bystanders}
    assert wanted not in task.bystanders


def test_nothing_moves_when_the_world_is_poked_beside_everything(task):
    rows, columns = np.nonzero((task.world.groups == 0) & task.touchable)
    outcome = task.world.push(np.array([columns[0], rows[0], 20.0, 0.0]))
    assert outcome.largest(0) < 1e-9
    assert all(outcome.largest(group) < 0.5 for group in task.bystanders)


def test_a_push_leaves_the_rest_of_the_task_to_do(task):
    """Half of the push that solves it; then the scene is as the camera sees it, and at rest."""
    world, end = task.world.after(task.solution * [1, 1, 0.5, 0.5])
    left = task.left_to_do(world, end)
    assert left is not None and left.world is world
    np.testing.assert_allclose(left.point + left.goal, task.point + task.goal)
    assert task.still < np.linalg.norm(left.point - task.point) < np.linalg.norm(task.goal)
    assert (left.world.image != task.world.image).any()
    x, y = np.round(left.point).astype(int)
    groups, (before_x, before_y) = task.world.groups, task.point.astype(int)
    assert left.world.groups[y, x] == groups[before_y, before_x]  # the part is where it is said
    rows, columns = np.nonzero(left.touchable)
    assert np.hypot(columns - left.point[0], rows - left.point[1]).min() > left.radius
    nothing = left.world.push(np.array([0.0, 0.0, 0.0, 0.0]))
    assert nothing.displacement(left.point[None]) == pytest.approx(0, abs=2)


def test_equal_seeds_give_equal_tasks():
    first, again = (next(tasks("heldout_d", 3, SIZE)) for _ in range(2))
    assert first.numbers == again.numbers
    np.testing.assert_array_equal(first.world.image, again.world.image)
    np.testing.assert_array_equal(first.goal, again.goal)
    np.testing.assert_array_equal(first.stay, again.stay)


def test_splits_without_procedural_scenes_are_named():
    with pytest.raises(ValueError, match="split is 'heldout_a': must be one of train, val"):
        next(tasks("heldout_a", 0, SIZE))


def test_a_poke_beside_the_image_is_refused(task):
    with pytest.raises(ValueError, match="must lie on 160 x 160"):
        task.world.push(np.array([SIZE + 5.0, 3, 1, 1]))


def test_a_planned_poke_moves_the_point_towards_its_goal(task):
    predictor = Predictor.from_checkpoint("embedded", device="cpu")
    evaluate = functools.partial(predictor.evaluate, predictor.embed(task.world.image))
    limits = (task.touchable, task.reach, task.tolerance, task.still)
    best = plan_poke(evaluate, [task.point], [task.goal], task.stay, *limits)[0]
    x, y = np.round(best.poke[:2]).astype(int)
    assert task.touchable[y, x]
    assert np.linalg.norm(best.poke[2:]) <= task.reach + 1e-9
    [moved] = task.world.push(best.poke).displacement(task.point[None])
    assert np.linalg.norm(moved - task.goal) < 0.7 * np.linalg.norm(task.goal)
