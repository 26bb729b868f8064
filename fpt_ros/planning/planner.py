# SPDX-License-Identifier: Apache-2.0
"""Where to poke, and how far, so that points reach their goals: `plan_poke`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.planning.checks import not_negative
from fpt_ros.planning.goals import Evaluate, Goals
from fpt_ros.planning.limits import Constraint, Cost, Limits
from fpt_ros.planning.movable import MovableMap
from fpt_ros.planning.plans import PokePlan, Sample, nothing_allowed, outcomes
from fpt_ros.planning.search import Candidates, PokeSearch

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import ArrayLike

    from fpt_ros.planning.refining import Predict

APART = 0.25
"""Distinct plans lie further apart than this, in lengths of the reach."""
FINALISTS = 16
"""Best candidates whose places are asked about exactly."""


def plan_poke(
    evaluate: Evaluate,
    points: ArrayLike,
    goals: ArrayLike,
    stay: ArrayLike,
    touchable: ArrayLike,
    reach: float,
    tolerance: ArrayLike,
    stay_tolerance: ArrayLike | None = None,
    plans: int = 3,
    candidates: int = 48,
    rounds: int = 4,
    seed: int = 0,
    *,
    pokes: int = 1,
    weights: ArrayLike = 1.0,
    risk: float = 0.0,
    cost: Cost | None = None,
    constraint: Constraint | None = None,
    ends: ArrayLike | None = None,
    shortest: float = 0.0,
    warm_start: Sequence[PokePlan] = (),
    min_gain: float = 0.1,
    sample: Sample | None = None,
    predict: Predict | None = None,
) -> list[PokePlan]:
    """The best few pokes, best first; equal arguments give equal plans.

    First it asks which allowed places would move, and how, if the goals were reached; then it
    draws pokes from that map, and varies the best ones for some rounds.

    Pixels: x right, y down, (0, 0) the centre of the top-left one.

    Args:
        evaluate: asked twice for the map, once for each round and the pokes before the first one,
            then once about the best places and once about the plans (and once more for each
            further tolerance). At most twice `candidates` pokes or 768 points a question.
        points, goals: [N, 2] points, and the displacement wanted of each.
        stay: [S, 2] points that must not move; may be empty.
        touchable: where the robot may touch: a bool mask [h, w] of the image, or a polygon
            [V, 2].
        reach: how long a poke may be.
        tolerance: distance to a goal that still counts as reached; one, or [N].
        stay_tolerance: likewise for points that must stay; one, or [S]. None: the least
            `tolerance`. Errors are weighed in tolerances.
        plans: how many pokes are wanted, at least a quarter of the reach apart in place or
            displacement. There may be fewer where little may be touched.
        candidates: tried in each of the `rounds`.
        pokes: how many fingers push at once. Each candidate and plan is a set of so many pokes.
        weights: of the points' errors; one, or [N + S].
        risk: how many standard deviations each point's expected error is raised by.
        cost: of candidates [M, P, 4], [M] in tolerances of error.
        constraint: which candidates [M, P, 4] may be done at all, [M].
        ends: where pokes may end, as `touchable`. None: anywhere.
        shortest: how long a poke must be at least.
        warm_start: earlier plans, which the search begins with beside others.
        min_gain: a round that improves the best score by less is the last one, an early stop;
            in tolerances.
        sample: asked for joint futures of all points for each plan: `Predictor.sample` with a
            context, or `MotionClient.sample`. Gives the plans' `joint_probability`.
        predict: refines the plans by gradients: `Predictor.predict` with a context, or another
            function of pokes [P, 4], a tensor, and points that gives a mixture with gradients.

    Returns:
        At least one plan; where `feasible` is False, its `reason` says why.

    Raises:
        ValueError: an argument that cannot be used; the message names it and what is allowed.
            Also what `evaluate` raises, for example for points that are not on the image.
    """
    wanted = Goals.checked(points, goals, stay, tolerance, stay_tolerance, weights, risk)
    limits = Limits.checked(touchable, ends, shortest, reach, constraint)
    _check_counts(plans=plans, candidates=candidates, rounds=rounds, pokes=pokes)
    not_negative("min_gain", min_gain)
    start = _start(warm_start, pokes)
    rng = np.random.default_rng(seed)
    movable = MovableMap.ask(evaluate, wanted, limits, rng)
    search = PokeSearch(evaluate, wanted, limits, cost, movable, rng)
    tried = search.run(start, candidates, rounds, min_gain)
    if not len(tried.pokes):
        return [nothing_allowed(wanted, pokes)]
    return _plans(search, tried, plans, sample, predict, seed)


def _check_counts(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} is {count}: must be at least 1")


def _start(warm_start: Sequence[PokePlan], fingers: int) -> Float[np.ndarray, "s p 4"]:
    """The earlier plans' pokes, those that are some."""
    for i, plan in enumerate(warm_start):
        if len(plan.pokes) != fingers:
            raise ValueError(f"warm_start[{i}] has {len(plan.pokes)} pokes: must have {fingers}")
    pokes = [plan.pokes for plan in warm_start if np.isfinite(plan.pokes).all()]
    return np.array(pokes, np.float64).reshape(-1, fingers, 4)


def _plans(
    search: PokeSearch,
    tried: Candidates,
    count: int,
    sample: Sample | None,
    predict: Predict | None,
    seed: int,
) -> list[PokePlan]:
    """The best distinct ones of all that were tried, with what is expected of them."""
    apart = APART * search.limits.reach
    # Distinct ones as well, in case the map was wrong about all places like those of the best.
    finalists = tried.best(FINALISTS, 0) + tried.best(max(FINALISTS, count), apart)
    tried = tried[list(dict.fromkeys(finalists))]
    if predict is not None:
        tried = tried.joined(_refined(search, tried[tried.best(count, apart)], predict))
    tried, moving = search.exactly(tried)
    best = tried.best(count, apart)
    return outcomes(
        search.evaluate, search.goals, tried.pokes[best], tried.scores[best], moving[best],
        sample, seed,
    )  # fmt: skip


def _refined(search: PokeSearch, tried: Candidates, predict: Predict) -> Candidates:
    """These with displacements refined by gradients, those that are still within all limits."""
    from fpt_ros.planning.refining import refined  # plans without gradients need no PyTorch

    pokes = np.stack([refined(predict, search.goals, pokes) for pokes in tried.pokes])
    pokes = search.limits.fitted(pokes)
    return search.tried(pokes[search.limits.allows(pokes)])
