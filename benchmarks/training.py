# SPDX-License-Identifier: Apache-2.0
"""What bfloat16 saves in a training step: the small recipe on random pictures, from random weights.

    python benchmarks/training.py [--seconds 60] [--threads 2] [--device cuda]

Both kinds of steps take turns; the last column is how many times as fast each is as float32.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import torch
from measuring import interleaved_times

from fpt_ros.training.dataset import Loaded
from fpt_ros.training.distributed import Processes
from fpt_ros.training.recipes import RECIPES, Recipe, Sampling
from fpt_ros.training.sampling import Batch
from fpt_ros.training.starting import start_from_encoder
from fpt_ros.training.trainer import Trainer


def random_batch(sampling: Sampling, side: int) -> Loaded:
    """Noise of the shapes that training sees."""
    pictures = sampling.images
    points = (pictures * sampling.motions, sampling.pokes)
    batch = Batch(
        images=torch.randint(256, (pictures, 3, side, side), dtype=torch.uint8),
        camera_static=torch.ones(points[0], dtype=torch.bool),
        poke_pos=torch.rand(*points, 2),
        poke_flow=0.1 * torch.randn(*points, 2),
        query_pos=torch.rand(*points, sampling.queries, 2),
        query_flow=0.1 * torch.randn(*points, sampling.queries, 2),
        query_noise=0.01 * torch.randn(*points, sampling.queries, 2),
        query_weight=torch.ones(*points, sampling.queries),
        pair_pos=torch.rand(pictures, sampling.pairs, 2),
        pair_bodies=torch.randint(3, (pictures, sampling.pairs)),
        pair_flow=0.1 * torch.randn(points[0], sampling.pairs, 2),
    )
    return Loaded(batch, [], [])


def trainer(recipe: Recipe, device: torch.device) -> Trainer:
    torch.manual_seed(0)
    trainer = Trainer(start_from_encoder(recipe.model, "none"), recipe, Processes(device=device))
    trainer.loss.in_bfloat16 = recipe.bfloat16  # also where it is slower
    return trainer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--threads", type=int, help="of PyTorch; its own choice if not given")
    parser.add_argument("--device", type=torch.device, default="cpu")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    small = replace(RECIPES["small"], pair_steps=0)
    batch = random_batch(small.sampling, small.model.image_size)
    steps = {
        name: trainer(replace(small, bfloat16=bfloat16), options.device)
        for name, bfloat16 in (("float32", False), ("bfloat16", True))
    }
    times = interleaved_times(
        {name: lambda t=t: t.train_step(batch) for name, t in steps.items()}, options.seconds
    )
    print(f"a step of {small.sampling.images} pictures, {torch.get_num_threads()} threads")
    for name, seconds in times.items():
        print(f"| {name} | {1e3 * seconds:.0f} ms | {times['float32'] / seconds:.2f} |")


if __name__ == "__main__":
    main()
