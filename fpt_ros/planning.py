"""Finds pokes that move points to their goals and leave others alone, by asking what if.

The cross-entropy method (R. Y. Rubinstein, Methodology and Computing in Applied Probability 1,
1999) over where to poke and how far: several searches side by side, so that the pokes found are
distinct. It needs no ROS and no model, only a function that evaluates pokes:
`Predictor.evaluate` with an image's context, or `MotionClient.evaluate`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from numpy.typing import ArrayLike

SPACING = 0.25
"""Searches start, and distinct plans lie, at least this far apart; in lengths of the reach."""
SPREAD = 0.25
"""First standard deviation of a search, likewise."""
ELITE = 0.2
"""Share of a search's candidates that the next ones are drawn around."""
KEPT = 0.2
"""How much of a search's mean and spread stays from round to round."""


SEARCHES = 4
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
class PokePlan:
    """A poke and what is expected of it, in pixels.

    The arrays are for the points with goals, then for those that must stay.
    """

    poke: Float[np.ndarray, " 4"]
    """x, y, dx, dy."""
    score: float
    """The higher the better; 0 would be certain success. Compares plans of one call."""
    mean: Float[np.ndarray, "n 2"]
    """Expected displacement."""
    covariance: Float[np.ndarray, "n 2 2"]
    """Of the displacement."""
    probability: Float[np.ndarray, " n"]
    """That the point ends within the tolerance of its goal; of staying points: of its place."""
    expected_error: Float[np.ndarray, " n"]
    """Mean distance to the goal; of staying points: to where they are."""


def plan_poke(
    evaluate: Evaluate,
    points: ArrayLike,
    goals: ArrayLike,
    stay: ArrayLike,
    touchable: ArrayLike,
    reach: float,
    tolerance: float,
    stay_tolerance: float | None = None,
    plans: int = 3,
    candidates: int = 128,
    rounds: int = 6,
    seed: int = 0,
) -> list[PokePlan]:
    """The best few pokes, best first; equal arguments give equal plans.

    Pixels: x right, y down, (0, 0) the centre of the top-left one.

    Args:
        evaluate: asked twice a round; about no more than twice `candidates` pokes at once.
        points, goals: [N, 2] points, and the displacement wanted of each.
        stay: [S, 2] points that must not move; may be empty.
        touchable: where the robot may touch: a bool mask [h, w] of the image, or a polygon
            [V, 2].
        reach: how long a poke may be.
        tolerance: distance to a goal that still counts as reached.
        stay_tolerance: likewise for points that must stay; None: `tolerance`.
        plans: how many pokes are wanted, at least a quarter of the reach apart in place or
            displacement. There may be fewer where little may be touched.
        candidates: pokes tried in each of the `rounds`.

    Raises:
        ValueError: an argument that cannot be used; the message names it and what is allowed.
            Also what `evaluate` raises, for example for points that are not on the image.
    """
    task = _Task.checked(points, goals, stay, touchable, reach, tolerance)
    still = _positive("stay_tolerance", tolerance if stay_tolerance is None else stay_tolerance)
    for name, count in (("plans", plans), ("candidates", candidates), ("rounds", rounds)):
        if count < 1:
            raise ValueError(f"{name} is {count}: must be at least 1")
    rng = np.random.default_rng(seed)
    pokes = task.draw(2 * candidates, rng)
    scores = task.scores(evaluate, pokes)
    searches = [_Search(pokes[i], task) for i in task.distinct(pokes, scores, SEARCHES)]
    for _ in range(rounds):
        drawn = [search.draw(max(candidates // len(searches), 8), rng) for search in searches]
        found = task.scores(evaluate, np.concatenate(drawn))
        ends = np.cumsum([len(own) for own in drawn])[:-1]
        for search, own, own_scores in zip(searches, drawn, np.split(found, ends), strict=True):
            search.learn(own, own_scores)
        pokes, scores = np.concatenate([pokes, *drawn]), np.concatenate([scores, found])
    best = task.distinct(pokes, scores, plans)
    return _outcomes(evaluate, task, still, pokes[best], scores[best])


class _Search:
    """A Gaussian over pokes that closes in on good ones."""

    def __init__(self, poke: Float[np.ndarray, " 4"], task: _Task) -> None:
        self.mean, self.deviation, self.task = poke, np.full(4, SPREAD * task.reach), task

    def draw(self, count: int, rng: np.random.Generator) -> Float[np.ndarray, "count 4"]:
        """Allowed pokes; where the Gaussian gives too few, any others fill up."""
        pokes = self.mean + self.deviation * rng.normal(size=(8 * count, 4))
        pokes = self.task.shortened(pokes[self.task.allows(pokes)][:count])
        return np.concatenate([pokes, self.task.draw(count - len(pokes), rng)])

    def learn(self, pokes: Float[np.ndarray, "m 4"], scores: Float[np.ndarray, " m"]) -> None:
        best = np.argsort(-scores, kind="stable")[: max(4, round(ELITE * len(pokes)))]
        self.mean = KEPT * self.mean + (1 - KEPT) * pokes[best].mean(0)
        self.deviation = KEPT * self.deviation + (1 - KEPT) * pokes[best].std(0)


@dataclasses.dataclass(frozen=True)
class _Task:
    """What is wanted and allowed, checked."""

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
    ) -> _Task:
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
            _positive("reach", reach),
            _positive("tolerance", tolerance),
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

    def distinct(
        self, pokes: Float[np.ndarray, "m 4"], scores: Float[np.ndarray, " m"], count: int
    ) -> list[int]:
        """The best few, best first, apart from each other in place or displacement."""
        chosen: list[int] = []
        for i in np.argsort(-scores, kind="stable"):
            apart = np.linalg.norm((pokes[chosen] - pokes[i]).reshape(-1, 2, 2), axis=2).max(1)
            if (apart > SPACING * self.reach).all():
                chosen.append(int(i))
            if len(chosen) == count:
                break
        return chosen

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


def _outcomes(
    evaluate: Evaluate,
    task: _Task,
    still: float,
    pokes: Float[np.ndarray, "m 4"],
    scores: Float[np.ndarray, " m"],
) -> list[PokePlan]:
    sets = list(pokes[:, None])
    found = evaluate(sets, task.points, task.goals, task.tolerance, return_motions=True)
    probability = np.array(found.probability, np.float64)
    if task.wanted < len(task.points):
        kept = slice(task.wanted, None)
        staying = evaluate(sets, task.points[kept], task.goals[kept], still, return_motions=False)
        probability[:, kept] = staying.probability
    return [
        PokePlan(
            poke,
            float(score),
            np.asarray(motion.mean, np.float64),
            np.asarray(motion.covariance, np.float64),
            chances,
            np.asarray(errors, np.float64),
        )
        for poke, score, motion, chances, errors in zip(
            pokes, scores, found.motions, probability, found.expected_error, strict=True
        )
    ]


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


def _positive(name: str, value: float) -> float:
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"{name} is {value}: must be finite and above 0 (pixels)")
    return float(value)
