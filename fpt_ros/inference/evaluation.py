"""What each of many candidates, sets of pokes, would do to points that have goals."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING

import numpy as np
import torch

from fpt_ros.model import MotionMixture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jaxtyping import Float, Float32

    from fpt_ros.inference.steps import Steps

CANDIDATES_AT_ONCE = 64
POINTS_AT_ONCE = 1024
TOKENS_AT_ONCE = POINTS_AT_ONCE + 128  # pokes and points of all candidates of one step


@dataclasses.dataclass(frozen=True)
class PokeEvaluation:
    """How well each of M candidates moves N points to their goals."""

    log_likelihood: Float32[np.ndarray, "m n"]
    """Of the goal displacement, density per square pixel."""
    probability: Float32[np.ndarray, "m n"]
    """That the point ends within the tolerance of its goal."""
    expected_error: Float32[np.ndarray, "m n"]
    """Mean distance to the goal, pixels."""
    motions: list[MotionMixture]
    """The mixtures [n] of each candidate, pixels; empty if they were not asked for."""

    @property
    def best(self) -> int:
        """The candidate of the highest mean probability; ties: of the lowest mean error."""
        probability, error = (
            values.mean(1, dtype=np.float64) for values in (self.probability, self.expected_error)
        )
        return int(np.lexsort((error, -probability))[0])


def evaluation_steps(
    predict: Callable[[Float[np.ndarray, "b p 4"], Float[np.ndarray, "c 2"]], MotionMixture],
    sets: list[Float[np.ndarray, "p 4"]],
    points: Float[np.ndarray, "n 2"],
    goals: Float[np.ndarray, "n 2"],
    tolerance: float,
    return_motions: bool,
) -> Steps[PokeEvaluation]:
    """Evaluate in steps of bounded time and memory, see `Predictor.evaluate`.

    Args:
        predict: the mixtures [b, c] of c points given each of b sets of p pokes, pixels.
        sets: the pokes of each of the M candidates, as many as they have.

    Raises:
        ValueError: no candidate, no point, goals of another shape or not finite, a tolerance that
            is negative or not finite.
    """
    _check(sets, points, goals, tolerance)
    shape = (len(sets), len(points))
    log_likelihood, probability, error = (np.empty(shape, np.float32) for _ in range(3))
    motions: list[list[MotionMixture]] = [[] for _ in sets]
    for batch, part in _blocks([len(pokes) for pokes in sets], len(points)):
        mixture = predict(np.stack([sets[i] for i in batch]), points[part])
        goal = torch.from_numpy(goals[part])
        log_likelihood[batch, part] = mixture.log_prob(goal)
        probability[batch, part] = mixture.probability_within(goal, tolerance)
        error[batch, part] = mixture.expected_distance(goal)
        if return_motions:
            for row, i in enumerate(batch):
                motions[i].append(mixture[row])
        yield
    joined = [_join(parts) for parts in motions if parts]
    return PokeEvaluation(log_likelihood, probability, error, joined)


def _check(
    sets: list[Float[np.ndarray, "p 4"]],
    points: Float[np.ndarray, "n 2"],
    goals: Float[np.ndarray, "n 2"],
    tolerance: float,
) -> None:
    if not sets or not len(points):
        raise ValueError(f"{len(sets)} candidates and {len(points)} points: at least 1 of each")
    if goals.shape != points.shape or not np.isfinite(goals).all():
        raise ValueError(f"goals have shape {goals.shape}: must be {points.shape}, all finite")
    if not (np.isfinite(tolerance) and tolerance >= 0):
        raise ValueError(f"tolerance is {tolerance}: must be finite and at least 0")


def _blocks(sizes: list[int], points: int) -> Iterator[tuple[list[int], slice]]:
    """All pairs of a candidate and a point, in blocks: candidates of as many pokes, some points."""
    by_size = sorted(range(len(sizes)), key=sizes.__getitem__)
    for size, alike in itertools.groupby(by_size, key=sizes.__getitem__):
        together = TOKENS_AT_ONCE // (size + min(points, POINTS_AT_ONCE))
        together = min(max(together, 1), CANDIDATES_AT_ONCE)
        group = list(alike)
        for first in range(0, len(group), together):
            for start in range(0, points, POINTS_AT_ONCE):
                part = slice(start, start + POINTS_AT_ONCE)
                yield group[first : first + together], part


def _join(mixtures: list[MotionMixture]) -> MotionMixture:
    """Mixtures of several points as one."""
    names = ("logits", "locs", "scale_tril")
    return MotionMixture(*(torch.cat([getattr(m, name) for m in mixtures]) for name in names))
