# SPDX-License-Identifier: Apache-2.0
"""Which samples each step takes: an endless stream, shuffled anew in each epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

from fpt_ros.training.recipes import Recipe


class Request(NamedTuple):
    """A sample to be drawn. All its random numbers come from the seed, `epoch` and `number`."""

    epoch: int
    number: int
    noise: float
    """Standard deviation added to the targets."""


class Order(Sampler[list[Request]]):
    """The batches of this process from `first_step` to the recipe's last.

    A step takes the next samples of the stream, and each process its part of them. So the position
    in the data follows from the step, and the samples of a step do not depend on how many
    processes share it, only on their batches' sum.
    """

    def __init__(
        self, samples: int, recipe: Recipe, first_step: int = 0, rank: int = 0, processes: int = 1
    ) -> None:
        self.samples, self.recipe, self.first_step = samples, recipe, first_step
        self.rank, self.processes = rank, processes
        self._epoch, self._shuffled = -1, np.arange(0)

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
            rng = np.random.default_rng((self.recipe.seed, epoch))
            self._epoch, self._shuffled = epoch, rng.permutation(self.samples)
        return Request(epoch, int(self._shuffled[place]), noise)
