# SPDX-License-Identifier: Apache-2.0
"""How pushes in simulated scenes ended: each way is told from the others."""

from __future__ import annotations

import dataclasses
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from fpt_ros.apps.planner_demo import endings
from fpt_ros.apps.planner_demo.trials import IN_VAIN, TRIES, try_again
from fpt_ros.apps.planner_demo.verdicts import judge
from fpt_ros.inference.predictor import Predictor
from fpt_ros.simulation import push_tasks
from fpt_ros.simulation.push_tasks import PushTask, allowed, tasks
from fpt_ros.simulation.push_world import PushWorld

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


def test_where_a_poke_was_in_vain_none_follows(task, monkeypatch):
    def allowed_and_fixed(world: PushWorld, *disc: Any) -> np.ndarray:
        return allowed(world, *disc) & (world.groups == 0)

    monkeypatch.setattr(push_tasks, "allowed", allowed_and_fixed)
    fixed = dataclasses.replace(
        task, touchable=allowed_and_fixed(task.world, task.point, task.radius)
    )
    predictor = Predictor.from_checkpoint("embedded", device="cpu")
    tries = try_again(fixed, lambda image: partial(predictor.evaluate, predictor.embed(image)), 0)
    assert [one.verdict.ending for one in tries] == [endings.FIXED] * TRIES
    for one, other in combinations([one.plan.poke[:2] for one in tries], 2):
        assert np.linalg.norm(one - other) > IN_VAIN * SIZE


def test_what_the_first_poke_left_is_done_by_the_next(task):
    """The first poke is far too short."""
    short = task.solution * [1, 1, 0.1, 0.1]
    left = task.left_to_do(*task.world.after(short))
    assert left is not None
    [drawn] = task.since_the_start(task.world.after(short)[1]).displacement(task.solution[None, :2])
    rest = np.concatenate([task.solution[:2] + drawn, task.solution[2:] - drawn])
    assert not judge(task, short).reached
    assert judge(task, rest, left).reached
