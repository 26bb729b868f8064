# SPDX-License-Identifier: Apache-2.0
"""What each of many candidates, sets of pokes, would do to points that have goals."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING

import numpy as np
import torch

from fpt_ros.inference.transfer import to_cpu, to_device
from fpt_ros.model import MotionMixture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jaxtyping import Float32, Float64
    from torch import Tensor

    from fpt_ros.inference.blocks import Block
    from fpt_ros.inference.steps import Steps


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


@torch.no_grad()
def evaluation_steps(
    ask: Callable[[Float64[Tensor, "b p 4"], Float64[Tensor, "n 2"]], Iterator[Block]],
    sets: list[Float64[Tensor, "p 4"]],
    points: Float64[Tensor, "n 2"],
    goals: Float64[Tensor, "n 2"],
    tolerance: float,
    return_motions: bool,
    device: torch.device,
) -> Steps[PokeEvaluation]:
    """Evaluate in steps of bounded time and memory, see `Predictor.evaluate`.

    All is computed on the device and comes back in the end, so that the host never waits for it
    in between.

    Args:
        ask: the mixtures in pixels of the points given each of b sets of p pokes, as
            `predict_blocks` gives them; it takes and gives tensors on the device.
        sets: the pokes of each of the M candidates, as `ask` takes them, on the CPU.
        points: likewise.
        goals: pixels.

    Raises:
        ValueError: no candidate, no point, goals of another shape or not finite, a tolerance that
            is negative or not finite.
    """
    _check(sets, points, goals, tolerance)
    order = sorted(range(len(sets)), key=lambda i: len(sets[i]))  # alike ones run together
    pokes, points, goals = to_device([torch.cat([sets[i] for i in order]), points, goals], device)
    metrics = torch.empty(3, len(sets), len(points), device=device)
    motions = None
    for at, part, mixture in _all_blocks(ask, [len(sets[i]) for i in order], pokes, points):
        metrics[0, at, part] = mixture.log_prob(goals[part]).float()
        metrics[1, at, part] = mixture.probability_within(goals[part], tolerance).float()
        metrics[2, at, part] = mixture.expected_distance(goals[part]).float()
        if return_motions:
            motions = _room_for(mixture, len(sets), len(points)) if motions is None else motions
            _put(motions, mixture, at, part)
        yield
    found, *fields = to_cpu([metrics, *(_fields(motions) if motions else ())])
    place = torch.tensor(order).argsort()  # of each candidate among the sorted ones
    log_likelihood, probability, error = (metric[place].numpy() for metric in found)
    each = [MotionMixture(*fields)[int(i)] for i in place] if fields else []
    return PokeEvaluation(log_likelihood, probability, error, each)


def _check(
    sets: list[Float64[Tensor, "p 4"]],
    points: Float64[Tensor, "n 2"],
    goals: Float64[Tensor, "n 2"],
    tolerance: float,
) -> None:
    if not sets or not len(points):
        raise ValueError(f"{len(sets)} candidates and {len(points)} points: at least 1 of each")
    if goals.shape != points.shape or not np.isfinite(goals.detach().numpy()).all():
        allowed = f"must be {tuple(points.shape)}, all finite"
        raise ValueError(f"goals have shape {tuple(goals.shape)}: {allowed}")
    if not (np.isfinite(tolerance) and tolerance >= 0):
        raise ValueError(f"tolerance is {tolerance}: must be finite and at least 0")


def _all_blocks(
    ask: Callable[[Float64[Tensor, "b p 4"], Float64[Tensor, "n 2"]], Iterator[Block]],
    sizes: list[int],
    pokes: Float64[Tensor, "all 4"],
    points: Float64[Tensor, "n 2"],
) -> Iterator[Block]:
    """The blocks of all candidates: those with as many pokes are asked together.

    Args:
        sizes: how many pokes each candidate has, ascending.
        pokes: all of them, one candidate after another.
    """
    first = start = 0
    for size, alike in itertools.groupby(sizes):
        count = len(list(alike))
        sets = pokes[start : start + count * size].view(count, size, 4)
        for rows, part, mixture in ask(sets, points):
            yield slice(first + rows.start, first + min(rows.stop, count)), part, mixture
        first, start = first + count, start + count * size


def _room_for(mixture: MotionMixture, candidates: int, points: int) -> MotionMixture:
    """Uninitialised mixtures [candidates, points] of the same kind."""
    shape = (candidates, points)
    return MotionMixture(*(f.new_empty(*shape, *f.shape[2:]) for f in _fields(mixture)))


def _put(all_: MotionMixture, some: MotionMixture, at: slice, part: slice) -> None:
    for whole, piece in zip(_fields(all_), _fields(some), strict=True):
        whole[at, part] = piece


def _fields(mixture: MotionMixture) -> tuple[Tensor, Tensor, Tensor]:
    return mixture.logits, mixture.locs, mixture.scale_tril
