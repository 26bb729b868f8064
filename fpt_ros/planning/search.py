# SPDX-License-Identifier: Apache-2.0
"""The search for pokes: drawn from the map of what would move, then varied less and less.

An evolution strategy (H.-G. Beyer, H.-P. Schwefel, Natural Computing 1, 2002) whose parents keep
their distance, so that several different ways to the goals are followed.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.planning.movable import MovableMap, PlaceMotions

if TYPE_CHECKING:
    from jaxtyping import Float

    from fpt_ros.planning.goals import Evaluate, Goals
    from fpt_ros.planning.limits import Cost, Limits

STUCK = 4.0
"""Price of a place that certainly stays while the goals are reached, in tolerances of error."""
ODD = 0.25
"""Price of a poke for each tolerance that its place would move otherwise if the goals were
reached."""
ALIKE, ANYHOW = 0.25, 0.15
"""Shares of the first pokes: those that go about as a goal does, and those that go anyhow."""
PARENTS = 6
"""Best pokes that the next ones are varied from."""
VARIED = 0.12
"""First standard deviation of the variation, in lengths of the reach."""
SHRINKING = 0.65
"""Of the variation, from round to round."""


@dataclasses.dataclass(frozen=True)
class Candidates:
    """Sets of pokes that were tried, and what they cost, in tolerances."""

    pokes: Float[np.ndarray, "m p 4"]
    errors: Float[np.ndarray, " m"]
    """Of the points, and the caller's own cost."""
    place_costs: Float[np.ndarray, " m"]
    """Of places that would not move, or not so, if the goals were reached."""

    @property
    def scores(self) -> Float[np.ndarray, " m"]:
        return -self.errors - self.place_costs

    def __getitem__(self, chosen: list[int]) -> Candidates:
        return Candidates(self.pokes[chosen], self.errors[chosen], self.place_costs[chosen])

    def joined(self, other: Candidates) -> Candidates:
        return Candidates(
            np.concatenate([self.pokes, other.pokes]),
            np.concatenate([self.errors, other.errors]),
            np.concatenate([self.place_costs, other.place_costs]),
        )

    def best(self, count: int, apart: float) -> list[int]:
        """The best few, best first, further than `apart` [px] in some place or displacement."""
        chosen: list[int] = []
        for i in np.argsort(-self.scores, kind="stable"):
            if (distance(self.pokes[chosen], self.pokes[i]) > apart).all():
                chosen.append(int(i))
            if len(chosen) == count:
                break
        return chosen


def distance(
    pokes: Float[np.ndarray, "m p 4"], other: Float[np.ndarray, "p 4"]
) -> Float[np.ndarray, " m"]:
    """The largest distance of places or of displacements, pixels."""
    apart = (pokes - other).reshape(len(pokes), 2 * len(other), 2)
    return np.linalg.norm(apart, axis=2).max(1)


@dataclasses.dataclass(frozen=True)
class PokeSearch:
    """Tries pokes, one question a round."""

    evaluate: Evaluate
    goals: Goals
    limits: Limits
    cost: Cost | None
    movable: MovableMap
    rng: np.random.Generator

    def run(
        self, start: Float[np.ndarray, "s p 4"], count: int, rounds: int, min_gain: float
    ) -> Candidates:
        """All candidates that were tried; none where no poke within all limits was found.

        Args:
            start: pokes to begin with, beside as many drawn ones.
            count: candidates of a round.
            min_gain: a round that improves the best score by less is the last one.
        """
        fingers = start.shape[1]
        pokes = self.limits.allowed(partial(self._drawn, fingers), 2 * count)
        start = self.limits.fitted(start)
        tried = self.tried(np.concatenate([start[self.limits.allows(start)], pokes]))
        scale = 1.0
        for _ in range(rounds if len(tried.pokes) else 0):
            best = tried.scores.max()
            parents = tried.pokes[tried.best(PARENTS, VARIED / 2 * scale * self.limits.reach)]
            pokes = self.limits.allowed(partial(self._varied, parents, scale), count)
            tried, scale = tried.joined(self.tried(pokes)), SHRINKING * scale
            if tried.scores.max() < best + min_gain:
                break
        return tried

    def tried(self, pokes: Float[np.ndarray, "m p 4"]) -> Candidates:
        """What the pokes cost; the costs of their places are interpolated in the map."""
        if not len(pokes):
            return Candidates(pokes, np.zeros(0), np.zeros(0))
        errors = self.goals.errors(self.evaluate, pokes)
        if self.cost is not None:
            errors = errors + self._own_cost(self.cost, pokes)
        places = self.movable.motions.at(pokes[..., :2].reshape(-1, 2))
        return Candidates(pokes, errors, self.place_costs(places, pokes))

    def exactly(self, tried: Candidates) -> tuple[Candidates, Float[np.ndarray, " m"]]:
        """The same with the places' costs asked about; and how likely all their places move."""
        places = tried.pokes[..., :2].reshape(-1, 2)
        motions = PlaceMotions.ask(self.evaluate, self.goals, places)
        moving = motions.moving.reshape(tried.pokes.shape[:2]).min(1)
        costs = self.place_costs(motions, tried.pokes)
        return dataclasses.replace(tried, place_costs=costs), moving

    def place_costs(
        self, places: PlaceMotions, pokes: Float[np.ndarray, "m p 4"]
    ) -> Float[np.ndarray, " m"]:
        """The root mean square difference of a poke from its place's motion is its oddity."""
        shifts = pokes[..., 2:].reshape(-1, 2)
        second = ((places.mean - shifts) ** 2).sum(-1) + np.trace(
            places.covariance, axis1=-2, axis2=-1
        )
        costs = STUCK * (1 - places.moving) + ODD * np.sqrt(second) / self.goals.tolerance
        return costs.reshape(pokes.shape[:2]).mean(1)

    def _own_cost(self, cost: Cost, pokes: Float[np.ndarray, "m p 4"]) -> Float[np.ndarray, " m"]:
        costs = np.asarray(cost(pokes), np.float64)
        if costs.shape != (len(pokes),) or not np.isfinite(costs).all():
            raise ValueError(
                f"cost gave shape {costs.shape}: must be [{len(pokes)}], as pokes, and finite"
            )
        return costs

    def _drawn(self, fingers: int, count: int) -> Float[np.ndarray, "count p 4"]:
        """Places that would move, and shifts about as they would; some go otherwise."""
        total, rng = count * fingers, self.rng
        places = self.movable.draw(total, 0, rng)
        motions = self.movable.motions.at(places)
        root = np.linalg.cholesky(motions.covariance + 1e-9 * np.eye(2))
        shifts = motions.mean * rng.uniform(0.5, 1.6, (total, 1))
        shifts += 0.7 * np.einsum("mij,mj->mi", root, rng.normal(size=(total, 2)))
        kind = rng.random(total)
        shifts = np.where((kind < ALIKE)[:, None], self._like_goals(total), shifts)
        shifts = np.where((kind > 1 - ANYHOW)[:, None], self._anyhow(places), shifts)
        pokes = np.concatenate([places, shifts], -1).reshape(count, fingers, 4)
        by_column = np.argsort(pokes[..., :1], axis=1)  # which finger is the first is arbitrary
        return np.take_along_axis(pokes, by_column, 1)

    def _like_goals(self, count: int) -> Float[np.ndarray, "count 2"]:
        some = self.goals.wish[self.rng.integers(self.goals.wanted, size=count), 2:]
        lengths = self.rng.uniform(0.3, 1.7, (count, 1))
        return some * lengths + self.rng.normal(0, self.goals.tolerance, (count, 2))

    def _anyhow(self, places: Float[np.ndarray, "m 2"]) -> Float[np.ndarray, "m 2"]:
        """Anywhere within reach; to an allowed end where those are limited."""
        count = len(places)
        if self.limits.ends is not None:
            y, x = np.nonzero(self.limits.ends)
            chosen = self.rng.integers(len(x), size=count)
            return np.column_stack([x[chosen], y[chosen]]) - places
        angle, length = self.rng.uniform(0, 2 * np.pi, count), np.sqrt(self.rng.random(count))
        return self.limits.reach * (length * np.array([np.cos(angle), np.sin(angle)])).T

    def _varied(
        self, parents: Float[np.ndarray, "k p 4"], scale: float, count: int
    ) -> Float[np.ndarray, "count p 4"]:
        shift = VARIED * self.limits.reach
        place = max(shift, self.movable.apart / 4)
        deviation = scale * np.array([place, place, shift, shift])
        chosen = parents[self.rng.permutation(count) % len(parents)]
        return chosen + deviation * self.rng.normal(size=chosen.shape)
