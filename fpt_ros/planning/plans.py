# SPDX-License-Identifier: Apache-2.0
"""Plans: pokes, what is expected of them, and whether that is worth trying."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

    from fpt_ros.planning.goals import Evaluate, Goals

Sample: TypeAlias = "Callable[..., Any]"
FLOOR = 0.05
"""A plan is infeasible if its success is less probable."""
SAMPLES = 128


@dataclasses.dataclass(frozen=True)
class PokePlan:
    """Pokes and what is expected of them, in pixels.

    The arrays are for the points with goals, then for those that must stay.
    """

    pokes: Float[np.ndarray, "p 4"]
    """x, y, dx, dy of each; not numbers where no poke within all limits was found."""
    score: float
    """The higher the better; 0 would be certain success. Compares plans of one call."""
    moving: float
    """Probability that the poked places would all move if the goals were reached."""
    mean: Float[np.ndarray, "n 2"]
    """Expected displacement."""
    covariance: Float[np.ndarray, "n 2 2"]
    """Of the displacement."""
    probability: Float[np.ndarray, " n"]
    """That the point ends within the tolerance of its goal; of staying points: of its place."""
    expected_error: Float[np.ndarray, " n"]
    """Mean distance to the goal; of staying points: to where they are."""
    joint_probability: float | None
    """That all points do so at once; None where `sample` was not given."""
    reason: str
    """Why the plan is infeasible; empty if it is not."""

    @property
    def poke(self) -> Float[np.ndarray, " 4"]:
        """The first of the pokes, the only one unless more were asked for."""
        return self.pokes[0]

    @property
    def feasible(self) -> bool:
        """Whether the plan may work: its `reason` says why not."""
        return not self.reason


def nothing_allowed(goals: Goals, fingers: int) -> PokePlan:
    """The plan where no poke within all limits was found: one that cannot be carried out."""
    count = len(goals.points)
    return PokePlan(
        pokes=np.full((fingers, 4), np.nan),
        score=-np.inf,
        moving=0.0,
        mean=np.full((count, 2), np.nan),
        covariance=np.full((count, 2, 2), np.nan),
        probability=np.zeros(count),
        expected_error=np.full(count, np.inf),
        joint_probability=None,
        reason="no poke was found that is within reach, ends and constraint",
    )


def outcomes(
    evaluate: Evaluate,
    goals: Goals,
    pokes: Float[np.ndarray, "m p 4"],
    scores: Float[np.ndarray, " m"],
    moving: Float[np.ndarray, " m"],
    sample: Sample | None,
    seed: int,
) -> list[PokePlan]:
    """What is expected of the pokes: one question, and one more for each other tolerance."""
    sets = list(pokes)
    tolerances = np.unique(goals.tolerances)
    found = evaluate(sets, goals.points, goals.goals, float(tolerances[0]), return_motions=True)
    probability = np.array(found.probability, np.float64)
    for tolerance in tolerances[1:]:
        own = goals.tolerances == tolerance
        wider = evaluate(
            sets, goals.points[own], goals.goals[own], float(tolerance), return_motions=False
        )
        probability[:, own] = wider.probability
    return [
        _plan(goals, pokes[i], float(scores[i]), float(moving[i]), probability[i],
              found.expected_error[i], found.motions[i], sample, seed)
        for i in range(len(sets))
    ]  # fmt: skip


def _plan(
    goals: Goals,
    pokes: Float[np.ndarray, "p 4"],
    score: float,
    moving: float,
    probability: Float[np.ndarray, " n"],
    expected_error: Float[np.ndarray, " n"],
    motion: Any,
    sample: Sample | None,
    seed: int,
) -> PokePlan:
    joint = None if sample is None else joint_probability(sample, goals, pokes, seed)
    return PokePlan(
        pokes,
        score,
        moving,
        np.asarray(motion.mean, np.float64),
        np.asarray(motion.covariance, np.float64),
        probability,
        np.asarray(expected_error, np.float64),
        joint,
        _why_infeasible(goals, moving, probability, joint),
    )


def joint_probability(
    sample: Sample, goals: Goals, pokes: Float[np.ndarray, "p 4"], seed: int
) -> float:
    """Share of joint futures in which every point ends within its tolerance."""
    futures = sample(pokes, goals.points, SAMPLES, seed=seed + 1)  # 0 may mean: drawn anew
    displacements = np.asarray(getattr(futures, "displacements", futures), np.float64)
    errors = np.linalg.norm(displacements - goals.goals, axis=-1)
    return float((errors <= goals.tolerances).all(1).mean())


def _why_infeasible(
    goals: Goals, moving: float, probability: Float[np.ndarray, " n"], joint: float | None
) -> str:
    """The first reason that makes success less probable than FLOOR; empty if there is none."""
    if moving < FLOOR:
        return f"the poked place would move with probability {moving:.3f} if the goals were reached"
    worst = int(np.argmin(probability))
    if probability[worst] < FLOOR:
        x, y = goals.points[worst]
        what = "reaches its goal" if worst < goals.wanted else "stays"
        return f"the point at ({x:g}, {y:g}) {what} with probability {probability[worst]:.3f}"
    if joint is not None and joint < FLOOR:
        return f"all points end as wanted at once with probability {joint:.3f}"
    return ""
