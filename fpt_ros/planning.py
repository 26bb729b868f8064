"""Finds pokes that move points to their goals and leave others alone, by asking what if.

The cross-entropy method (R. Y. Rubinstein, Methodology and Computing in Applied Probability 1,
1999) over where to poke and how far: several searches side by side, so that the pokes found are
distinct. It needs no ROS and no model, only a function that evaluates pokes:
`Predictor.evaluate` with an image's context, or `MotionClient.evaluate`.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.poke_problem import Evaluate, PokeProblem, positive

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import ArrayLike

__all__ = ["Evaluate", "PokePlan", "plan_poke"]

SPACING = 0.25
"""Searches start, and distinct plans lie, at least this far apart; in lengths of the reach."""
SPREAD = 0.25
"""First standard deviation of a search, likewise."""
ELITE = 0.2
"""Share of a search's candidates that the next ones are drawn around."""
KEPT = 0.2
"""How much of a search's mean and spread stays from round to round."""
SEARCHES = 4
"""Side by side."""


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
        evaluate: asked twice a round, about twice `candidates` pokes (or 32) at most.
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
    problem = PokeProblem.checked(points, goals, stay, touchable, reach, tolerance)
    still = positive("stay_tolerance", tolerance if stay_tolerance is None else stay_tolerance)
    for name, count in (("plans", plans), ("candidates", candidates), ("rounds", rounds)):
        if count < 1:
            raise ValueError(f"{name} is {count}: must be at least 1")
    rng = np.random.default_rng(seed)
    pokes, scores = _search(evaluate, problem, candidates, rounds, rng)
    best = _distinct(pokes, scores, plans, SPACING * problem.reach)
    return _outcomes(evaluate, problem, still, pokes[best], scores[best])


def _search(
    evaluate: Evaluate, problem: PokeProblem, candidates: int, rounds: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "m 4"], Float[np.ndarray, " m"]]:
    """All pokes that were tried, and how good they are."""
    pokes = problem.draw(2 * candidates, rng)
    scores = problem.scores(evaluate, pokes)
    starts = _distinct(pokes, scores, SEARCHES, SPACING * problem.reach)
    searches = [_Search(pokes[i], problem) for i in starts]
    for _ in range(rounds):
        drawn = [search.draw(max(candidates // len(searches), 8), rng) for search in searches]
        found = problem.scores(evaluate, np.concatenate(drawn))
        ends = np.cumsum([len(own) for own in drawn])[:-1]
        for search, own, own_scores in zip(searches, drawn, np.split(found, ends), strict=True):
            search.learn(own, own_scores)
        pokes, scores = np.concatenate([pokes, *drawn]), np.concatenate([scores, found])
    return pokes, scores


class _Search:
    """A Gaussian over pokes that closes in on good ones."""

    def __init__(self, poke: Float[np.ndarray, " 4"], problem: PokeProblem) -> None:
        self.mean, self.deviation = poke, np.full(4, SPREAD * problem.reach)
        self.problem = problem

    def draw(self, count: int, rng: np.random.Generator) -> Float[np.ndarray, "count 4"]:
        """Allowed pokes; where the Gaussian gives too few, any others fill up."""
        pokes = self.mean + self.deviation * rng.normal(size=(8 * count, 4))
        pokes = self.problem.shortened(pokes[self.problem.allows(pokes)][:count])
        return np.concatenate([pokes, self.problem.draw(count - len(pokes), rng)])

    def learn(self, pokes: Float[np.ndarray, "m 4"], scores: Float[np.ndarray, " m"]) -> None:
        best = np.argsort(-scores, kind="stable")[: max(4, round(ELITE * len(pokes)))]
        self.mean = KEPT * self.mean + (1 - KEPT) * pokes[best].mean(0)
        self.deviation = KEPT * self.deviation + (1 - KEPT) * pokes[best].std(0)


def _distinct(
    pokes: Float[np.ndarray, "m 4"], scores: Float[np.ndarray, " m"], count: int, apart: float
) -> list[int]:
    """The best few, best first, further than `apart` [px] in place or in displacement."""
    chosen: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        away = np.linalg.norm((pokes[chosen] - pokes[i]).reshape(-1, 2, 2), axis=2).max(1)
        if (away > apart).all():
            chosen.append(int(i))
        if len(chosen) == count:
            break
    return chosen


def _outcomes(
    evaluate: Evaluate,
    problem: PokeProblem,
    still: float,
    pokes: Float[np.ndarray, "m 4"],
    scores: Float[np.ndarray, " m"],
) -> list[PokePlan]:
    sets = list(pokes[:, None])
    found = evaluate(sets, problem.points, problem.goals, problem.tolerance, return_motions=True)
    probability = np.array(found.probability, np.float64)
    if problem.wanted < len(problem.points):
        kept = slice(problem.wanted, None)
        staying = evaluate(
            sets, problem.points[kept], problem.goals[kept], still, return_motions=False
        )
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
