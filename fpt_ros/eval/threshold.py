# SPDX-License-Identifier: Apache-2.0
"""Choose a checkpoint's motion threshold on clips and save the checkpoint with it.

    python -m fpt_ros.eval.threshold --choose-on data/sim/val --checkpoint in.safetensors \\
        --out out.safetensors
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from fpt_ros.data.shards import find_shards
from fpt_ros.eval.cases import Cases, make_case
from fpt_ros.eval.figures import mean_iou
from fpt_ros.eval.predictions import Predictions, predict
from fpt_ros.eval.reading import read_cases
from fpt_ros.inference.moving_part import moving_part
from fpt_ros.model import load_checkpoint, save_checkpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Bool

    from fpt_ros.data.moments import Moment
    from fpt_ros.model import FlowPokeTransformer

CASES = 300


def choose_motion_threshold(model: FlowPokeTransformer, moments: Sequence[Moment]) -> float:
    """The divergence above which the moving part of some moments is found best, nats.

    Of each moment one of its other frames counts, in which something moves.

    Raises:
        ValueError: nothing moves in any of them.
    """
    rng = np.random.default_rng(0)
    cases = []
    for moment in moments:
        rows = rng.permutation(len(moment.flows))
        found = (make_case(moment, int(row), rng) for row in rows)
        case = next((case for case in found if case is not None), None)
        cases += [] if case is None else [case]
    if not cases:
        raise ValueError(f"nothing moves in {len(moments)} moments: no threshold to choose")
    joined = Cases(cases)
    return best_motion_threshold(joined, predict(model, joined)[1])


def best_motion_threshold(cases: Cases, predicted: Predictions) -> float:
    """The threshold of the highest mean IoU; the highest of equals.

    Raises:
        ValueError: nothing but the pokes moves.
    """
    thresholds = np.arange(61) / 20
    ious = [mean_iou(cases, found_moving(predicted, t)) for t in thresholds]
    if np.isnan(ious).all():
        raise ValueError(
            f"nothing but the pokes moves in {len(cases)} cases: no threshold to choose"
        )
    return float(thresholds[ious == np.max(ious)].max())


def found_moving(predicted: Predictions, threshold: float) -> Bool[np.ndarray, "n"]:
    """The points of the moving part."""
    divergence, moves = map(torch.from_numpy, (predicted.divergence, predicted.moves))
    return moving_part(divergence, moves, threshold).numpy()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m fpt_ros.eval.threshold", description=__doc__)
    parser.add_argument("--choose-on", type=Path, nargs="+", required=True, help="shards, folders")
    parser.add_argument("--checkpoint", default="embedded")
    parser.add_argument("--out", type=Path, required=True, help="a .safetensors file")
    parser.add_argument("--skip", type=int, help="frames from a picture to its target")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N")
    options = parser.parse_args(arguments)
    try:
        model = load_checkpoint(options.checkpoint, device=options.device, dtype="float32")
        cases, _ = read_cases("choose-on", find_shards(options.choose_on), options.skip, CASES)
        threshold = best_motion_threshold(cases, predict(model, cases)[1])
        model.config = dataclasses.replace(model.config, motion_threshold=threshold)
        save_checkpoint(in_its_own_precision(model), options.out)
    except (ValueError, OSError) as error:
        sys.exit(f"{parser.prog}: {error}")
    print(f"motion_threshold is {threshold} nats")


def in_its_own_precision(model: FlowPokeTransformer) -> FlowPokeTransformer:
    """In half precision where that loses nothing: such a file keeps its numbers and its size."""
    halved = copy.deepcopy(model).half()
    full = model.state_dict()
    lossless = all(bool((p.float() == full[n]).all()) for n, p in halved.state_dict().items())
    return halved if lossless else model


if __name__ == "__main__":
    main()
