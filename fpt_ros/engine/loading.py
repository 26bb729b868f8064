# SPDX-License-Identifier: Apache-2.0
"""The predictor of a node: loaded and warm, and its memory given back."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import torch

from fpt_ros.inference.calibration import read_calibration
from fpt_ros.inference.predictor import Predictor

if TYPE_CHECKING:
    from fpt_ros.engine.settings import Settings


def load_predictor(settings: Settings) -> Predictor:
    """Load the checkpoint and run the model once.

    Raises what Predictor.from_checkpoint raises for a checkpoint or device that is not there, and
    ValueError for a calibration file that cannot be used.
    """
    predictor = Predictor.from_checkpoint(
        settings.checkpoint,
        device=settings.device,
        dtype=settings.dtype,
        compile=settings.compile,
        fit=settings.fit,
        allow_download=settings.allow_download,
    )
    if settings.calibration_file:
        found = read_calibration(settings.calibration_file, predictor.info.sha256)
        predictor.spread = found.spread
    predictor.warm_up()
    # Else Python's collector looks at all that PyTorch has made, 0.1 s in which nothing is
    # answered.
    gc.collect()
    gc.freeze()
    return predictor


def free_memory() -> None:
    """Give back what Python and PyTorch keep of a model that is gone."""
    gc.unfreeze()
    gc.collect()
    torch.cuda.empty_cache()
