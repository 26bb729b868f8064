"""``fpt-train``: train our small model on simulated scenes.

On a CPU with N cores: ``OMP_NUM_THREADS=1 torchrun --nproc-per-node N -m fpt_ros.training …``
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import torch

from fpt_ros.model import FlowPokeTransformer, ModelConfig
from fpt_ros.training.batches import Sampling
from fpt_ros.training.distributed import join_processes, leave_processes
from fpt_ros.training.scenes import load_scenes
from fpt_ros.training.threshold import set_motion_threshold
from fpt_ros.training.trainer import Recipe, Trainer
from fpt_ros.training.warm_start import warm_start

VAL_PICTURES = 400


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; options that are not given keep the recipe's defaults."""
    parser = argparse.ArgumentParser(prog="fpt-train", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and val/")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and log")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--depth", type=int, default=4)
    for owner in (Recipe, Sampling):
        for field in dataclasses.fields(owner):
            if field.name in ("sampling", "augment", "bfloat16"):
                continue
            kind = {"steps": int, "hours": float}.get(field.name) or type(field.default)
            parser.add_argument(
                f"--{field.name.replace('_', '-')}", type=kind, default=field.default
            )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Train as the command line says."""
    options = parse_arguments(arguments)
    rank, world_size = join_processes()
    given = vars(options)

    def pick(owner: type) -> dict:
        return {f.name: given[f.name] for f in dataclasses.fields(owner) if f.name in given}

    recipe = Recipe(**pick(Recipe), sampling=Sampling(**pick(Sampling)))
    torch.manual_seed(recipe.seed)
    config = ModelConfig(
        encoder="efficientnet_lite0",
        image_size=options.image_size,
        width=options.width,
        depth=options.depth,
        flow_scale=20.0,
        license="Apache-2.0",
    )
    model = FlowPokeTransformer(config)
    trainer = Trainer(model, recipe, options.out, rank)
    if options.resume:
        trainer.resume()
    else:
        warm_start(trainer.encoder.trunk)
    train = load_scenes(options.data / "train", rank, world_size)
    val = load_scenes(options.data / "val", rank, world_size, limit=VAL_PICTURES)
    trainer.run(train, val)
    if rank == 0:
        set_motion_threshold(trainer.averaged_model, train)
        trainer.save()
    leave_processes()


if __name__ == "__main__":
    main()
