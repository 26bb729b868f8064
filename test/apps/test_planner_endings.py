# SPDX-License-Identifier: Apache-2.0
"""How pushes in simulated scenes ended: each way is told from the others."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fpt_ros.apps.planner_demo import endings
from fpt_ros.apps.planner_demo.trials import judge
from fpt_ros.simulation.push_tasks import PushTask, tasks

SIZE = 160


@pytest.fixture(scope="module")
def task() -> PushTask:
    return next(tasks("train", 3, SIZE))


def pixel(task: PushTask, group: int) -> np.ndarray:
    """A pixel in the middle of those of a group."""
    places = np.argwhere(task.world.groups == group)[:, ::-1]
    return places[np.linalg.norm(places - np.median(places, axis=0), axis=1).argmin()]


def test_the_poke_that_made_the_goal_reaches_it(task):
    verdict = judge(task, task.solution)
    assert verdict.reached and verdict.ending == endings.REACHED


def test_what_else_moved_is_said(task):
    x, y = task.point.astype(int)
    strict = dataclasses.replace(task, bystanders=[int(task.world.groups[y, x])])
    assert judge(strict, task.solution).ending == endings.DISTURBED


def test_a_poke_on_what_is_fixed(task):
    poke = np.concatenate([pixel(task, 0), task.goal])
    assert judge(task, poke).ending == endings.FIXED


def test_a_poke_on_a_bystander(task):
    poke = np.concatenate([pixel(task, task.bystanders[0]), [6.0, 0.0]])
    assert judge(task, poke).ending == endings.OTHER_PART


def test_a_poke_that_goes_too_far_for_what_it_pulls(task):
    """The wanted part as it should go, but with the picture's side more."""
    far = task.solution[2:] * SIZE / np.linalg.norm(task.solution[2:])
    poke = np.concatenate([task.solution[:2], far])
    assert judge(task, poke).ending == endings.HELD


def test_a_right_part_that_goes_elsewhere(task):
    """It follows the finger as far as its joints let it, but that is not where the goal is."""
    place = task.solution[:2]
    [drawn] = task.world.push(task.solution).displacement(place[None])
    elsewhere = dataclasses.replace(task, goal=-task.goal)
    assert judge(elsewhere, np.concatenate([place, drawn])).ending == endings.OTHERWISE


def test_tilt_counts_loose_things_only(task):
    outcome = task.world.push(task.solution)
    model = task.world.model
    loose = [
        b
        for b in range(model.nbody)
        if model.body_jntnum[b] and model.jnt_type[model.body_jntadr[b]] == 0
    ]
    turned = outcome.end.rotations.copy()
    turned[:] = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]) @ outcome.start.rotations
    tipped = dataclasses.replace(outcome, end=dataclasses.replace(outcome.end, rotations=turned))
    for body in range(model.nbody):
        expected = np.pi / 2 if body in loose else 0
        assert endings.tilt(tipped, body) == pytest.approx(expected)
    assert loose
