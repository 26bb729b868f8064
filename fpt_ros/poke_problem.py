"""What a planner of pokes is asked: points with goals, others that must stay, and all limits."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from numpy.typing import ArrayLike

STUCK = 4.0
"""Price of a place that certainly stays while the goals are reached, in tolerances of error."""


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
class PokeProblem:
    """What is wanted and allowed, checked; knows which pokes are allowed and how good they are.

    Pixels: x right, y down, (0, 0) the centre of the top-left one.
    """

    points: Float[np.ndarray, "n 2"]
    goals: Float[np.ndarray, "n 2"]
    wanted: int
    """How many of the points have goals; the rest must stay."""
    mask: Bool[np.ndarray, "h w"]
    places: Float[np.ndarray, "a 2"]
    """All pixels that may be touched."""
    reach: float
    tolerance: float

    @classmethod
    def checked(
        cls,
        points: ArrayLike,
        goals: ArrayLike,
        stay: ArrayLike,
        touchable: ArrayLike,
        reach: float,
        tolerance: float,
    ) -> PokeProblem:
        moved, shifts, kept = _rows("points", points), _rows("goals", goals), _rows("stay", stay)
        if not len(moved):
            raise ValueError("points is empty: at least 1 point with a goal is needed")
        if len(shifts) != len(moved):
            raise ValueError(f"goals has {len(shifts)} rows: must have {len(moved)}, as points")
        mask = _mask(np.asarray(touchable))
        y, x = np.nonzero(mask)
        if not len(x):
            raise ValueError("touchable is empty: the robot may touch nothing on the image")
        return cls(
            np.concatenate([moved, kept]),
            np.concatenate([shifts, np.zeros_like(kept)]),
            len(moved),
            mask,
            np.column_stack([x, y]).astype(float),
            positive("reach", reach),
            positive("tolerance", tolerance),
        )

    def draw(self, count: int, rng: np.random.Generator) -> Float[np.ndarray, "count 4"]:
        """Pokes anywhere allowed: half go anywhere, half about as a goal does."""
        angle, length = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.random(count))
        shift = self.reach * (length * np.array([np.cos(angle), np.sin(angle)])).T
        half = count // 2
        alike = self.goals[rng.integers(self.wanted, size=half)] * rng.uniform(0.3, 1.7, (half, 1))
        shift[:half] = alike + rng.normal(0, self.tolerance, (half, 2))
        places = self.places[rng.integers(len(self.places), size=count)]
        return self.shortened(np.column_stack([places, shift]))

    def shortened(self, pokes: Float[np.ndarray, "m 4"]) -> Float[np.ndarray, "m 4"]:
        """None longer than the reach."""
        length = np.linalg.norm(pokes[:, 2:], axis=1, keepdims=True)
        shift = pokes[:, 2:] * np.minimum(1, self.reach / np.maximum(length, 1e-9))
        return np.column_stack([pokes[:, :2], shift])

    def allows(self, pokes: Float[np.ndarray, "m 4"]) -> Bool[np.ndarray, " m"]:
        """Whether the pokes' nearest pixels may be touched."""
        x, y = np.round(pokes[:, :2]).astype(int).T
        height, width = self.mask.shape
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        inside[inside] = self.mask[y[inside], x[inside]]
        return inside

    def scores(
        self, evaluate: Evaluate, pokes: Float[np.ndarray, "m 4"]
    ) -> Float[np.ndarray, " m"]:
        """Minus the expected errors, and minus the price of places that would not move.

        A model takes a poke for a fact, even one on something that is fixed. So it is asked the
        other way round as well: if the points reached their goals, would this place have moved?
        """
        none = np.zeros_like(pokes[:, :2])
        moved = evaluate(
            list(pokes[:, None]), self.points, self.goals, self.tolerance, return_motions=False
        )
        wish = np.column_stack([self.points, self.goals])[: self.wanted]
        stuck = evaluate([wish], pokes[:, :2], none, self.tolerance / 4, return_motions=False)
        error = np.asarray(moved.expected_error, np.float64) / self.tolerance
        score = -error[:, : self.wanted].mean(1) - STUCK * np.asarray(stuck.probability[0])
        if self.wanted < len(self.points):
            score -= error[:, self.wanted :].mean(1)
        return score


def _mask(touchable: np.ndarray) -> Bool[np.ndarray, "h w"]:
    """The mask itself, or the polygon's pixels with its rim, those right of and below (0, 0)."""
    if touchable.dtype == bool:
        if touchable.ndim != 2:
            raise ValueError(f"touchable has shape {touchable.shape}: a mask must be [h, w]")
        return touchable
    corners = _rows("touchable", touchable, "a bool mask [h, w] or a polygon [v, 2]")
    if len(corners) < 3:
        raise ValueError(f"touchable has {len(corners)} corners: a polygon must have at least 3")
    width, height = np.maximum(np.ceil(corners.max(0)).astype(int) + 1, 1)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 1)
    return mask.astype(bool)


def _rows(name: str, values: ArrayLike, allowed: str = "[n, 2]") -> Float[np.ndarray, "n 2"]:
    rows = np.asarray(values, np.float64)
    rows = rows.reshape(0, 2) if rows.size == 0 else rows
    if rows.ndim != 2 or rows.shape[1] != 2:
        raise ValueError(f"{name} has shape {rows.shape}: must be {allowed}")
    if not np.isfinite(rows).all():
        raise ValueError(f"{name} is {rows[~np.isfinite(rows).all(1)][0]}: must be finite")
    return rows


def positive(name: str, value: float) -> float:
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"{name} is {value}: must be finite and above 0 (pixels)")
    return float(value)
