"""Choose a checkpoint's motion threshold on training scenes and save the checkpoint with it.

python -m fpt_ros.training.threshold --data data/sim --checkpoint in.safetensors --out out.safetensors
"""  # noqa: E501

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from fpt_ros.model import FlowPokeTransformer, load_checkpoint, save_checkpoint
from fpt_ros.training.evaluate import choose_motion_threshold, predict
from fpt_ros.training.metrics import make_cases
from fpt_ros.training.scenes import load_scenes

if TYPE_CHECKING:
    from fpt_ros.training.scenes import Scene

PICTURES = 300


def set_motion_threshold(model: FlowPokeTransformer, scenes: list[Scene]) -> None:
    """Put the threshold that suits ``scenes`` best into the model's config."""
    cases = make_cases(scenes[:PICTURES])
    threshold = choose_motion_threshold(cases, predict(model, cases, cases.images))
    model.config = dataclasses.replace(model.config, motion_threshold=threshold)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train/")
    parser.add_argument("--checkpoint", default="embedded")
    parser.add_argument("--out", type=Path, required=True, help="a .safetensors file")
    options = parser.parse_args(arguments)
    model = load_checkpoint(options.checkpoint, device="cpu", dtype="float32")
    set_motion_threshold(model, load_scenes(options.data / "train", limit=PICTURES))
    # Half precision, as the trainer leaves it: a file of half precision keeps its numbers.
    save_checkpoint(model.half(), options.out)
    print(f"motion_threshold is {model.config.motion_threshold} nats")


if __name__ == "__main__":
    main()
