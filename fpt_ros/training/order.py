# SPDX-License-Identifier: Apache-2.0
"""Which samples each step takes: an endless stream, shuffled anew in each epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from torch.utils.data import Sampler

from fpt_ros.training.recipes import Recipe

if TYPE_CHECKING:
    from jaxtyping import Int


class Request(NamedTuple):
    """A sample to be drawn. All its random numbers come from the seed, `epoch` and `number`."""

    epoch: int
    """How often all samples of its source have come before."""
    number: int
    noise: float
    """Standard deviation added to the targets."""


class Order(Sampler[list[Request]]):
    """The batches of this process from `first_step` to the recipe's last.

    An epoch is as long as there are samples. Without weights it is all of them; with weights each
    source gives its share, and goes on in the next epoch where it was.

    A step takes the next samples of the stream, and each process its part of them. So the position
    in the data follows from the step, and the samples of a step do not depend on how many
    processes share it, only on their batches' sum.

    Args:
        numbers: the samples of each source.
        weights: its share; 0 for all: as many as it has samples.
    """

    def __init__(
        self,
        numbers: list[Int[np.ndarray, " n"]],
        weights: list[float],
        recipe: Recipe,
        first_step: int = 0,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.samples, self.recipe = sum(map(len, numbers)), recipe
        self.first_step = first_step
        self.rank, self.processes = rank, processes
        self._numbers, self._counts = numbers, shares(weights, [len(each) for each in numbers])
        self._epoch, self._requests = -1, np.zeros((0, 2), int)

    def __len__(self) -> int:
        return max(0, self.recipe.steps - self.first_step)

    def __iter__(self) -> Iterator[list[Request]]:
        batch = self.recipe.sampling.images
        for step in range(self.first_step, self.recipe.steps):
            first = (step * self.processes + self.rank) * batch
            noise = self.recipe.noise_at(step)
            yield [self._request(position, noise) for position in range(first, first + batch)]

    def _request(self, position: int, noise: float) -> Request:
        epoch, place = divmod(position, self.samples)
        if epoch != self._epoch:
            self._epoch, self._requests = epoch, self._drawn(epoch)
        rounds, number = self._requests[place].tolist()
        return Request(rounds, number, noise)

    def _drawn(self, epoch: int) -> Int[np.ndarray, "n 2"]:
        """The requests of an epoch: how often the source has come round, and the sample."""
        parts = []
        for place, (numbers, count) in enumerate(zip(self._numbers, self._counts, strict=True)):
            at = np.arange(epoch * count, (epoch + 1) * count)
            rounds, within = np.divmod(at, len(numbers))
            for number in np.unique(rounds):
                rng = np.random.default_rng((self.recipe.seed, place, number))
                shuffled = numbers[rng.permutation(len(numbers))]
                here = within[rounds == number]
                parts.append(np.column_stack([np.full(len(here), number), shuffled[here]]))
        order = np.random.default_rng((self.recipe.seed, epoch)).permutation(self.samples)
        return np.concatenate(parts)[order]


def shares(weights: list[float], lengths: list[int]) -> list[int]:
    """How many of an epoch's samples each source gives; together as many as there are."""
    if not any(weights):
        return lengths
    ends = np.round(np.cumsum(weights) / np.sum(weights) * sum(lengths)).astype(int)
    return np.diff(ends, prepend=0).tolist()
