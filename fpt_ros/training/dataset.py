# SPDX-License-Identifier: Apache-2.0
"""From shards to batches, in worker processes; bad samples are replaced and named."""

from __future__ import annotations

import os
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from fpt_ros.data.clips import SampleError
from fpt_ros.training.index import ShardIndex
from fpt_ros.training.order import Order, Request
from fpt_ros.training.recipes import Recipe
from fpt_ros.training.sampling import Batch, draw_sample

ATTEMPTS = 20
"""So many bad samples in a row are an error."""
PREFETCHED = 4
"""Batches that each worker process prepares ahead."""
PATIENCE = 5.0
"""Seconds after which a wait for a batch is broken off with a RuntimeError; it can go on."""


class Drawn(NamedTuple):
    """One picture's part of a batch."""

    name: str
    fields: dict[str, np.ndarray]
    bad: list[str]


class Loaded(NamedTuple):
    """A batch, the samples that it was drawn from, and the bad ones met on the way, with why."""

    batch: Batch
    names: list[str]
    bad: list[str]


class MomentDataset(Dataset[Drawn]):
    """Moments with pokes and queries, asked for by `Request`."""

    def __init__(self, index: ShardIndex, recipe: Recipe) -> None:
        self.index, self.recipe = index, recipe

    def __getitem__(self, request: Request) -> Drawn:
        """The sample asked for, or, where it is bad, another that the same seed chooses."""
        rng = np.random.default_rng((self.recipe.seed, request.epoch, request.number))
        number = request.number
        bad: list[str] = []
        size = self.recipe.model.image_size
        for _ in range(ATTEMPTS):
            try:
                sample, source = self.index.read(number), self.index.source(number)
                sampling = source.sampling(sample, self.recipe.sampling)
                fields = draw_sample(sample, sampling, size, request.noise, rng, source.camera)
                return Drawn(self.index.name(number), fields, bad)
            except SampleError as error:
                bad.append(f"{self.index.name(number)}: {error}")
                number = int(rng.integers(len(self.index)))
        raise SampleError(f"{ATTEMPTS} bad samples in a row, the last: {bad[-1]}")


def collate(drawn: list[Drawn]) -> Loaded:
    """Pictures side by side; motions of all pictures in one row."""

    def joined(name: str) -> torch.Tensor:
        parts = [one.fields[name] for one in drawn]
        each = name in ("images", "pair_pos", "pair_bodies")
        return torch.from_numpy(np.stack(parts) if each else np.concatenate(parts))

    batch = Batch(*(joined(name) for name in Batch._fields))
    return Loaded(batch, [one.name for one in drawn], [text for one in drawn for text in one.bad])


def make_loader(
    dataset: MomentDataset, order: Order, workers: int, pin_memory: bool
) -> DataLoader[Loaded]:
    """Batches in the order's order, prepared ahead by `workers` processes (0: by this one)."""
    return DataLoader(
        dataset,  # type: ignore[arg-type]  # `collate` turns its items into batches
        batch_sampler=order,
        collate_fn=collate,
        num_workers=workers,
        prefetch_factor=PREFETCHED if workers else None,
        timeout=PATIENCE if workers else 0,
        pin_memory=pin_memory,
        worker_init_fn=_start_worker,
        generator=torch.Generator(),  # it would draw its workers' seed from the global one
    )


def _start_worker(_: int) -> None:
    cv2.setNumThreads(1)
    # Signals sent to the training's group are not for its workers: they would be gone before it
    # has saved.
    os.setpgid(0, 0)
