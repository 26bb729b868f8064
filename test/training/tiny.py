# SPDX-License-Identifier: Apache-2.0
"""A training small enough for tests: the small recipe on the toy world."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from fpt_ros.training.dataset import Loaded, MomentDataset, make_loader
from fpt_ros.training.index import ShardIndex
from fpt_ros.training.loop import Loop, Running
from fpt_ros.training.order import Order
from fpt_ros.training.recipes import RECIPES, Recipe
from fpt_ros.training.sources import Source
from fpt_ros.training.starting import start_from_encoder
from fpt_ros.training.trainer import Trainer
from fpt_ros.training.validation import Validation

SAMPLING = {
    "images": 4,
    "motions": 2,
    "pokes": 3,
    "queries": 8,
    "pairs": 32,
    "skips": (1, -1, 2),
    "least_crop": 0.9,
}
MODEL = {"image_size": 64, "width": 64, "depth": 1}
SETTINGS = {"steps": 8, "pair_steps": 3, "warm_up": 5}
OPTIONS = ["--recipe=small", "--workers=1"] + [
    f"--{name.replace('_', '-')}={','.join(map(str, v)) if isinstance(v, tuple) else v}"
    for name, v in {**SAMPLING, **MODEL, **SETTINGS}.items()
]
"""The same for the command line."""


def tiny_recipe(**changes: Any) -> Recipe:
    """In float32; changes of the recipe, or of its sampling."""
    small = RECIPES["small"]
    sampling = {n: changes.pop(n) for n in list(changes) if hasattr(small.sampling, n)}
    settings = {
        "sampling": replace(small.sampling, **{**SAMPLING, **sampling}),
        "model": replace(small.model, **MODEL),
        "bfloat16": False,
        **SETTINGS,
    }
    return replace(small, **{**settings, **changes})


def tiny_trainer(recipe: Recipe, encoder: str = "none", **options: Any) -> Trainer:
    torch.manual_seed(0)
    return Trainer(start_from_encoder(recipe.model, encoder), recipe, **options)


def index_of(data: Path) -> ShardIndex:
    return ShardIndex([Source((data,))], quiet=True)


def tiny_loop(
    recipe: Recipe,
    data: Path,
    out: Path,
    val: Path | None = None,
    encoder: str = "none",
    **running: Any,
) -> Loop:
    running = {"workers": 0, "report_every": 1, "save_every": 1000, **running}
    trainer = tiny_trainer(recipe, encoder)
    validation = None
    if val is not None:
        validation = Validation(index_of(val), recipe, trainer.processes, 12)
    return Loop(trainer, index_of(data), validation, out, Running(**running))


def batches(recipe: Recipe, data: Path, workers: int = 0, first: int = 0) -> Iterator[Loaded]:
    index = index_of(data)
    order = Order(*index.portions, recipe, first)
    return iter(make_loader(MomentDataset(index, recipe), order, workers, False))
