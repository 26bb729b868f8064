# SPDX-License-Identifier: Apache-2.0
"""What a poke really did, by the simulation."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.apps.planner_demo.endings import ending

if TYPE_CHECKING:
    from jaxtyping import Float

    from fpt_ros.simulation.push_tasks import PushTask


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a poke, and those before it, really did; lengths in image sides."""

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


def judge(task: PushTask, poke: Float[np.ndarray, " 4"], now: PushTask | None = None) -> Verdict:
    """Let the fingertip carry out the poke, and measure.

    Args:
        now: what earlier pokes left to do; None: there were none.
    """
    now = now or task
    outcome = now.world.push(poke)
    since = task.since_the_start(outcome.end)
    [moved] = since.displacement(task.point[None])
    error = float(np.linalg.norm(moved - task.goal))
    stay = float(np.linalg.norm(since.displacement(task.stay), axis=1).max())
    bystander = max(since.largest(group) for group in task.bystanders)
    side, stayed = task.world.size, max(stay, bystander) <= task.still
    reached = error <= task.tolerance
    return Verdict(
        poke.tolist(),
        error / side,
        stay / side,
        bystander / side,
        reached,
        stayed,
        ending(now, poke, outcome, reached, stayed),
    )
