# SPDX-License-Identifier: Apache-2.0
"""What is watched during training: figures on unseen clips, and without their pictures.

A model can look good on its likelihood and still ignore the picture. So everything is also measured
with the pictures exchanged between the clips: where the two are equal, the model is worthless.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from fpt_ros.data.clips import SampleError
from fpt_ros.data.moments import Moment, read_moment
from fpt_ros.training.dataset import Loaded, MomentDataset, collate
from fpt_ros.training.loss import TrainingLoss, motion_errors, to_model
from fpt_ros.training.order import Request
from fpt_ros.training.sampling import draw_moment

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from fpt_ros.training.distributed import Processes
    from fpt_ros.training.index import ShardIndex
    from fpt_ros.training.recipes import Recipe
    from fpt_ros.training.sampling import Batch

AT_ONCE = 16
SEED = 0


class Validation:
    """The same draws from validation clips every time, shared among the processes.

    Args:
        samples: how many clips at most, spread over all.
    """

    def __init__(
        self, index: ShardIndex, recipe: Recipe, processes: Processes, samples: int
    ) -> None:
        sampling = replace(
            recipe.sampling,
            motions=1,
            published=False,
            pokes=2,
            queries=64,
            any_poke=0.0,
            body_share=0.0,
            augment=False,
            least_crop=1.0,
        )
        self.recipe, self.processes = recipe, processes
        self.dataset = MomentDataset(index, replace(recipe, sampling=sampling, seed=SEED))
        count = min(samples, len(index))
        self._numbers = np.linspace(0, len(index) - 1, count).round().astype(int)
        parts = np.array_split(self._numbers, -(-count // AT_ONCE))
        self._mine = parts[processes.rank :: processes.count]

    @cached_property
    def batches(self) -> list[Loaded]:
        """This process's share, drawn when first used and then kept."""
        noise = self.recipe.noise
        return [
            collate([self.dataset[Request(0, int(number), noise)] for number in part])
            for part in self._mine
        ]

    def moments(self) -> list[Moment]:
        """One of each validation clip whose bodies are known, with targets as in training."""
        found = []
        index = self.dataset.index
        rng = np.random.default_rng(SEED)
        for number in self._numbers:
            with contextlib.suppress(SampleError):
                sample, source = index.read(int(number)), index.source(int(number))
                sampling = source.sampling(sample, self.recipe.sampling)
                start, skips = draw_moment(sample, sampling, rng)
                moment = read_moment(sample, start, skips, source.camera)
                found += [] if moment.bodies is None else [moment]
        return found

    @torch.no_grad()
    def measure(self, loss: TrainingLoss) -> dict[str, float]:
        """Figures of a model over all processes, and with shuffled pictures."""
        totals: dict[str, float] = {}
        weight = 0.0
        for loaded in self.batches:
            batch = loaded.batch.to(self.processes.device)
            images = to_model(batch.images)
            found = figures(loss, batch, images)
            wrong = figures(loss, batch, images.roll(1, 0))
            found |= {f"{name}_shuffled": value for name, value in wrong.items()}
            size = len(images)
            weight += size
            totals = {name: totals.get(name, 0.0) + v * size for name, v in found.items()}
        # A process may have no share at all; all must sum the same figures.
        names = self.processes.gather(sorted(totals))[0]
        *sums, count = self.processes.sum([*(totals.get(name, 0.0) for name in names), weight])
        return {name: value / count for name, value in zip(names, sums, strict=True)}


def figures(loss: TrainingLoss, batch: Batch, images: Float[Tensor, "b 3 s s"]) -> dict[str, float]:
    """Negative log-likelihood without and with one poke, a sample's errors with one, pair loss."""
    embedded, mixture = loss.predict(batch, images)
    no_poke, one_poke = -mixture.log_prob(batch.query_flow + batch.query_noise).mean((0, 2))
    found = {"nll_no_poke": no_poke, "nll_one_poke": one_poke}
    found |= motion_errors(mixture[:, 1:], batch.query_flow[:, 1:], SEED)
    if loss.pair_loss is not None:
        found["pair"] = loss.pair_loss(embedded.features, batch.pair_pos, batch.pair_bodies)
    return {name: value.item() for name, value in found.items()}
