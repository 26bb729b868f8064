# SPDX-License-Identifier: Apache-2.0
"""Pokes for one task by the planner and by two simpler ways, and what each really does."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from fpt_ros.apps.planner_demo.endings import ending
from fpt_ros.planning import Evaluate, PokePlan, plan_poke

if TYPE_CHECKING:
    from jaxtyping import Float

    from fpt_ros.simulation.push_tasks import PushTask

PLANNER, NEAREST, RANDOM = "planner", "nearest allowed point", "random allowed poke"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a poke really did; lengths in image sides."""

    poke: list[float]
    """x, y, dx, dy, pixels."""
    error: float
    """Of the wanted point from its goal."""
    stay_moved: float
    """The farthest of the points that must stay."""
    bystander_moved: float
    """The farthest body of those that had no reason to move, by its visible points."""
    reached: bool
    stayed: bool
    """Whether neither a point that must stay nor such a body moved."""
    ending: str
    """One of those in `endings`."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """One task, the planner's best poke, and what it and its rivals did."""

    split: str
    task: PushTask
    plan: PokePlan
    seconds: float
    """That planning took."""
    verdicts: dict[str, Verdict]

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
            "verdicts": {name: dataclasses.asdict(v) for name, v in self.verdicts.items()},
        }


def attempt(split: str, task: PushTask, evaluate: Evaluate, seed: int) -> Trial:
    """Plan, and carry out the plan and its rivals, each from the same state of the scene."""
    start = time.monotonic()
    [plan] = plan_poke(
        evaluate,
        [task.point],
        [task.goal],
        task.stay,
        task.touchable,
        task.reach,
        task.tolerance,
        task.still,
        plans=1,
        seed=seed,
    )
    seconds = time.monotonic() - start
    pokes = {
        PLANNER: plan.poke,
        NEAREST: nearest_allowed(task),
        RANDOM: random_allowed(task, np.random.default_rng(seed)),
    }
    verdicts = {name: judge(task, poke) for name, poke in pokes.items()}
    return Trial(split, task, plan, seconds, verdicts)


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


def judge(task: PushTask, poke: Float[np.ndarray, " 4"]) -> Verdict:
    """Let the fingertip carry out the poke, and measure."""
    outcome = task.world.push(poke)
    [moved] = outcome.displacement(task.point[None])
    error = float(np.linalg.norm(moved - task.goal))
    stay = float(np.linalg.norm(outcome.displacement(task.stay), axis=1).max())
    bystander = max(outcome.largest(group) for group in task.bystanders)
    side, stayed = task.world.size, max(stay, bystander) <= task.still
    return Verdict(
        poke.tolist(),
        error / side,
        stay / side,
        bystander / side,
        error <= task.tolerance,
        stayed,
        ending(task, poke, outcome, stayed),
    )
