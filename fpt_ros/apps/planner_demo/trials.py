# SPDX-License-Identifier: Apache-2.0
"""Pokes for one task by the planner and by two simpler ways, and what each really does."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fpt_ros.apps.planner_demo.verdicts import Verdict, judge
from fpt_ros.planning import Evaluate, PokePlan, plan_poke
from fpt_ros.simulation.push_tasks import PushTask, near

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

Look: TypeAlias = "Callable[[UInt8[np.ndarray, 'h w 3']], Evaluate]"
"""Shows a picture to whoever predicts; then questions about it can be asked."""

TRIES = 3
PLANNER, AGAIN = "planner", f"planner, up to {TRIES} pokes"
NEAREST, RANDOM = "nearest allowed point", "random allowed poke"
IN_VAIN = 0.08
"""Image sides round a place whose poke did not move the wanted point: not poked again."""


@dataclasses.dataclass(frozen=True)
class Try:
    """The planner's best poke, and what came of it."""

    task: PushTask
    """As earlier tries left it."""
    plan: PokePlan
    seconds: float
    """That planning took."""
    verdict: Verdict

    def as_json(self) -> dict[str, Any]:
        """What was expected, in pixels, and the verdict."""
        return {
            "planning_seconds": self.seconds,
            "expected": {
                "displacement": self.plan.mean[0].tolist(),
                "covariance": self.plan.covariance[0].tolist(),
                "probability": float(self.plan.probability[0]),
                "stay_probability": self.plan.probability[1:].tolist(),
                "error": float(self.plan.expected_error[0]),
                "place_moves": self.plan.moving,
                "infeasible": self.plan.reason,
            },
            "verdict": dataclasses.asdict(self.verdict),
        }


@dataclasses.dataclass(frozen=True)
class Trial:
    """One task, the planner's tries, and what those and its rivals did."""

    split: str
    task: PushTask
    tries: list[Try]
    """Until the goal is reached, at most `TRIES`."""
    rivals: dict[str, Verdict]

    @property
    def first(self) -> Try:
        return self.tries[0]

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """By who chose the pokes."""
        return {PLANNER: self.first.verdict, AGAIN: self.tries[-1].verdict} | self.rivals

    def as_json(self) -> dict[str, Any]:
        """For the results file; lengths in pixels but in the verdicts."""
        task = self.task
        return {
            "split": self.split,
            "scene": task.world.names,
            "seed": task.numbers,
            "image_side": task.world.size,
            "point": task.point.tolist(),
            "goal": task.goal.tolist(),
            "forbidden_radius": task.radius,
            "stay": task.stay.tolist(),
            "solution": task.solution.tolist(),
            "tries": [one.as_json() for one in self.tries],
            "verdicts": {name: dataclasses.asdict(v) for name, v in self.verdicts.items()},
        }


def attempt(split: str, task: PushTask, look: Look, seed: int) -> Trial:
    """The planner's pokes and its rivals', each way from the same state of the scene."""
    rivals = {
        NEAREST: nearest_allowed(task),
        RANDOM: random_allowed(task, np.random.default_rng(seed)),
    }
    tries = try_again(task, look, seed)
    return Trial(split, task, tries, {name: judge(task, poke) for name, poke in rivals.items()})


def try_again(task: PushTask, look: Look, seed: int) -> list[Try]:
    """Plan, poke, and look; where the goal is not reached, plan again for what is left to do.

    After a try the planner gets the new picture and where the point is now (exactly: following it
    is not what is tried here). Round a place whose poke did not move the point, it pokes no more.
    """
    now, tries = task, list[Try]()
    in_vain = np.zeros(task.touchable.shape, bool)
    while True:
        start = time.monotonic()
        touchable = now.touchable & ~in_vain if (now.touchable & ~in_vain).any() else now.touchable
        plan = plan_for(now, look(now.world.image), touchable, seed)
        seconds = time.monotonic() - start
        tries.append(Try(now, plan, seconds, judge(task, plan.poke, now)))
        if tries[-1].verdict.reached or len(tries) == TRIES:
            return tries
        world, end = now.world.after(plan.poke)
        left = task.left_to_do(world, end)
        if left is None:
            return tries
        if np.linalg.norm(left.point - now.point) <= task.still:
            in_vain |= near(world, plan.poke[:2], IN_VAIN * world.size)
        now = left


def plan_for(
    task: PushTask, evaluate: Evaluate, touchable: Bool[np.ndarray, "h w"], seed: int
) -> PokePlan:
    """The planner's best poke."""
    [plan] = plan_poke(
        evaluate,
        [task.point],
        [task.goal],
        task.stay,
        touchable,
        task.reach,
        task.tolerance,
        task.still,
        plans=1,
        seed=seed,
    )
    return plan


def nearest_allowed(task: PushTask) -> Float[np.ndarray, " 4"]:
    """The allowed point nearest to the wanted one, pushed as that one is to move."""
    places = np.argwhere(task.touchable)[:, ::-1]
    nearest = places[np.linalg.norm(places - task.point, axis=1).argmin()]
    return np.concatenate([nearest, task.goal])


def random_allowed(task: PushTask, rng: np.random.Generator) -> Float[np.ndarray, " 4"]:
    """Any allowed point, pushed anywhere within reach."""
    places = np.argwhere(task.touchable)[:, ::-1]
    angle, length = rng.uniform(0, 2 * np.pi), task.reach * np.sqrt(rng.random())
    shift = length * np.array([np.cos(angle), np.sin(angle)])
    return np.concatenate([places[rng.integers(len(places))], shift])
