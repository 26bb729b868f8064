# SPDX-License-Identifier: Apache-2.0
"""Which allowed places would move, and how, if the goals were reached: where to look for pokes.

A model takes a poke for a fact, even one on something that is fixed. So it is asked the other way
round: given the goals as pokes, what would each place do? What moves is worth poking, about so.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.planning.checks import inside

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from fpt_ros.planning.goals import Evaluate, Goals
    from fpt_ros.planning.limits import Limits

COARSE, NEAR, FINE = 704, 64, 192
"""Places asked about: evenly spread, near the points with goals, and about those that move."""
STILL = 0.25
"""A place moves when it goes further than this, in tolerances."""
UNLIKELY = 1e-3
"""Added to each place's worth."""
NEIGHBOURS = 4
"""That a place between those asked about is interpolated from."""


@dataclasses.dataclass(frozen=True)
class PlaceMotions:
    """What places would do if the goals were reached, in pixels."""

    places: Float[np.ndarray, "m 2"]
    moving: Float[np.ndarray, " m"]
    """Probability that the place moves."""
    mean: Float[np.ndarray, "m 2"]
    covariance: Float[np.ndarray, "m 2 2"]

    @classmethod
    def ask(
        cls, evaluate: Evaluate, goals: Goals, places: Float[np.ndarray, "m 2"]
    ) -> PlaceMotions:
        none, still = np.zeros_like(places), STILL * goals.tolerance
        found = evaluate([goals.wish], places, none, still, return_motions=True)
        [motion] = found.motions
        return cls(
            places,
            1 - np.asarray(found.probability[0], np.float64),
            np.asarray(motion.mean, np.float64),
            np.asarray(motion.covariance, np.float64),
        )

    def joined(self, other: PlaceMotions) -> PlaceMotions:
        names = [field.name for field in dataclasses.fields(self)]
        pairs = [(getattr(self, name), getattr(other, name)) for name in names]
        return PlaceMotions(*map(np.concatenate, pairs))

    def at(self, places: Float[np.ndarray, "k 2"]) -> PlaceMotions:
        """Interpolated: the average of the nearest ones, by their inverse squared distances."""
        squares = ((places[:, None] - self.places) ** 2).sum(-1)
        count = min(NEIGHBOURS, len(self.places))
        nearest = np.argpartition(squares, count - 1, axis=1)[:, :count]
        weights = 1 / (np.take_along_axis(squares, nearest, 1) + 1)
        weights /= weights.sum(1, keepdims=True)
        return PlaceMotions(
            places,
            self.moving[nearest].min(1),
            np.einsum("mk,mki->mi", weights, self.mean[nearest]),
            np.einsum("mk,mkij->mij", weights, self.covariance[nearest]),
        )


@dataclasses.dataclass(frozen=True)
class MovableMap:
    """The motions of some hundred touchable places, denser where more moves."""

    motions: PlaceMotions
    worth: Float[np.ndarray, " m"]
    """How promising each place is: its probability of moving, if no further than the reach."""
    touchable: Bool[np.ndarray, "h w"]
    apart: float
    """Distance of the places of the first, coarse look, pixels."""

    @classmethod
    def ask(
        cls, evaluate: Evaluate, goals: Goals, limits: Limits, rng: np.random.Generator
    ) -> MovableMap:
        """Two questions: a coarse look at all places, then a finer one at those that move."""
        everywhere, apart = _evenly(limits.touchable, rng)
        nearby = _near(goals.wish[:, :2], limits.touchable, rng)
        motions = PlaceMotions.ask(evaluate, goals, np.concatenate([everywhere, nearby]))
        coarse = cls.of(motions, goals, limits, apart)
        places = np.unique(np.round(coarse.draw(FINE, apart, rng, sharpness=2)), axis=0)
        motions = motions.joined(PlaceMotions.ask(evaluate, goals, places))
        return cls.of(motions, goals, limits, apart)

    @classmethod
    def of(cls, motions: PlaceMotions, goals: Goals, limits: Limits, apart: float) -> MovableMap:
        beyond = np.maximum(np.linalg.norm(motions.mean, axis=1) - limits.reach, 0)
        worth = motions.moving * np.exp(-beyond / goals.tolerance) + UNLIKELY
        return cls(motions, worth, limits.touchable, apart)

    def draw(
        self, count: int, around: float, rng: np.random.Generator, sharpness: float = 1
    ) -> Float[np.ndarray, "count 2"]:
        """Touchable places in squares of side `around` about those that were asked about, which
        are chosen by their worth to a power."""
        chances = self.worth**sharpness
        chosen = rng.choice(len(chances), count, p=chances / chances.sum())
        centres = self.motions.places[chosen]
        places = centres + rng.uniform(-around / 2, around / 2, (count, 2))
        return np.where(inside(self.touchable, places)[:, None], places, centres)


def _evenly(
    touchable: Bool[np.ndarray, "h w"], rng: np.random.Generator
) -> tuple[Float[np.ndarray, "m 2"], float]:
    """At most COARSE touchable places, evenly spread, and how far apart they are.

    Of a golden lattice over the mask's bounding box: it has points in nearly every upright
    rectangle of twice a point's share of the area (S. Breneis, A. Hinrichs, Fibonacci lattices
    have minimal dispersion on the two-dimensional torus, 2019), so narrow things are not missed.
    """
    rows, columns = np.flatnonzero(touchable.any(1)), np.flatnonzero(touchable.any(0))
    low = np.array([columns[0], rows[0]]) - 0.5
    sides = np.array([columns[-1], rows[-1]]) + 0.5 - low
    pixels = np.flatnonzero(touchable)
    count = int(COARSE * min(sides.prod() / len(pixels), 64))
    lattice = np.column_stack([np.arange(count) / count, np.arange(count) * (np.sqrt(5) - 1) / 2])
    places = low + (lattice + rng.random(2)) % 1 * sides
    chosen = rng.choice(pixels, COARSE)  # for masks of few pixels, which the lattice misses
    some = np.column_stack([chosen % touchable.shape[1], chosen // touchable.shape[1]])
    places = np.concatenate([places[inside(touchable, places)], some])[:COARSE]
    return places, float(np.sqrt(len(pixels) / COARSE))


def _near(
    points: Float[np.ndarray, "n 2"], touchable: Bool[np.ndarray, "h w"], rng: np.random.Generator
) -> Float[np.ndarray, "m 2"]:
    """Touchable places about the points, as many at any scale of distance; at most NEAR."""
    count = 4 * NEAR
    distance = np.exp(rng.uniform(0, np.log(max(touchable.shape)), count))
    angle = rng.uniform(0, 2 * np.pi, count)
    away = distance * np.array([np.cos(angle), np.sin(angle)])
    places = points[rng.integers(len(points), size=count)] + away.T
    return places[inside(touchable, places)][:NEAR]
