# SPDX-License-Identifier: Apache-2.0
"""What a planner of pokes is asked for: points with goals and others that must stay."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fpt_ros.planning.checks import each, not_negative, positive, rows

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import ArrayLike

MOVED = 2.0
"""Price of a point that should stay and certainly does not, in tolerances of error."""


class Evaluate(Protocol):
    """What each candidate (a set of pokes, [P, 4]) would do to the points, against their goals.

    The result has `probability`, `expected_error` [M, N] and, when asked for, `motions`: for each
    candidate its `mean` [N, 2] and `covariance` [N, 2, 2], in pixels. Bind an image's context or
    stamp with `functools.partial`.
    """

    def __call__(
        self,
        candidates: Sequence[Float[np.ndarray, "p 4"]],
        points: Float[np.ndarray, "n 2"],
        goals: Float[np.ndarray, "n 2"],
        tolerance: float,
        *,
        return_motions: bool,
    ) -> Any: ...


@dataclasses.dataclass(frozen=True)
class Goals:
    """Points, the displacement wanted of each, and what an error costs; checked.

    Pixels: x right, y down, (0, 0) the centre of the top-left one. First come the points with
    goals, then those that must stay.
    """

    points: Float[np.ndarray, "n 2"]
    goals: Float[np.ndarray, "n 2"]
    wanted: int
    """How many of the points have goals; the rest must stay."""
    tolerances: Float[np.ndarray, " n"]
    weights: Float[np.ndarray, " n"]
    risk: float
    """How many standard deviations of its error a point's expected error is raised by."""

    @classmethod
    def checked(
        cls,
        points: ArrayLike,
        goals: ArrayLike,
        stay: ArrayLike,
        tolerance: ArrayLike,
        stay_tolerance: ArrayLike | None,
        weights: ArrayLike,
        risk: float,
    ) -> Goals:
        moved, shifts, kept = rows("points", points), rows("goals", goals), rows("stay", stay)
        if not len(moved):
            raise ValueError("points is empty: at least 1 point with a goal is needed")
        if len(shifts) != len(moved):
            raise ValueError(f"goals has {len(shifts)} rows: must have {len(moved)}, as points")
        reached = each("tolerance", tolerance, len(moved))
        [positive("tolerance", limit) for limit in reached]
        still = each(
            "stay_tolerance", reached.min() if stay_tolerance is None else stay_tolerance, len(kept)
        )
        [positive("stay_tolerance", limit) for limit in still]
        weight = each("weights", weights, len(moved) + len(kept))
        [not_negative("weights", value) for value in weight]
        return cls(
            np.concatenate([moved, kept]),
            np.concatenate([shifts, np.zeros_like(kept)]),
            len(moved),
            np.concatenate([reached, still]),
            weight,
            not_negative("risk", risk),
        )

    @property
    def wish(self) -> Float[np.ndarray, "wanted 4"]:
        """The pokes that say that the goals were reached."""
        return np.column_stack([self.points, self.goals])[: self.wanted]

    @property
    def tolerance(self) -> float:
        """The mean one of the points with goals: the unit of scores."""
        return float(self.tolerances[: self.wanted].mean())

    def errors(
        self, evaluate: Evaluate, pokes: Float[np.ndarray, "m p 4"]
    ) -> Float[np.ndarray, " m"]:
        """What the points' expected errors cost, in tolerances: the mean of the points with goals,
        and the worst of those that must stay.

        An error of e tolerances of a staying point costs `MOVED` e^2 / (1 + e^2), which is bounded:
        models expect too much motion of neighbours, and weak pokes would seem the best.
        """
        averse = self.risk > 0
        found = evaluate(
            list(pokes), self.points, self.goals, self.tolerance, return_motions=averse
        )
        error = np.asarray(found.expected_error, np.float64)
        if averse:
            error = error + self.risk * self._deviations(error, found.motions)
        moved, kept = np.split(error / self.tolerances, [self.wanted], axis=1)
        moved = self.weights[: self.wanted] * moved
        kept = self.weights[self.wanted :] * MOVED * kept**2 / (1 + kept**2)
        return moved.mean(1) + kept.max(1, initial=0.0)

    def _deviations(
        self, error: Float[np.ndarray, "m n"], motions: Sequence[Any]
    ) -> Float[np.ndarray, "m n"]:
        """Standard deviations of the distances to the goals, by Var[d] = E[d^2] - E[d]^2."""
        mean = np.stack([np.asarray(motion.mean, np.float64) for motion in motions])
        covariance = np.stack([np.asarray(motion.covariance, np.float64) for motion in motions])
        second = ((mean - self.goals) ** 2).sum(-1) + np.trace(covariance, axis1=-2, axis2=-1)
        return np.sqrt(np.maximum(second - error**2, 0))
