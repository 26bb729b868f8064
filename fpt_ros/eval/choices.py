# SPDX-License-Identifier: Apache-2.0
"""What has to be chosen before judging, and never on what is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.eval.baselines import Baseline, choose_baselines, choose_segmenters
from fpt_ros.eval.figures import mean_iou
from fpt_ros.eval.segmenters import Segmenter

if TYPE_CHECKING:
    from jaxtyping import Float

    from fpt_ros.eval.cases import Cases
    from fpt_ros.eval.predictions import Predictions


@dataclass(frozen=True)
class Choices:
    """What suits some cases best."""

    divergence_threshold: float
    """Nats, by IoU of the divergence alone, as the paper has it."""
    disc: float
    """Radius of the disc round the poke, by IoU, in image sides."""
    baselines: list[Baseline]
    """Those that see no picture first."""
    segmenters: list[Segmenter]
    """Of the moving part, by IoU."""


def choose(cases: Cases, predicted: Predictions) -> Choices:
    """The best choices on `cases`."""
    seeing, segmenters = choose_segmenters(cases)
    return Choices(
        divergence_threshold=best_threshold(cases, predicted.divergence),
        disc=-best_threshold(cases, -cases.distance),
        baselines=[*choose_baselines(cases), *seeing],
        segmenters=segmenters,
    )


def best_threshold(cases: Cases, score: Float[np.ndarray, "n"]) -> float:
    """The threshold above which `score` finds the moving part best."""
    candidates = np.quantile(score, np.linspace(0.02, 0.995, 120))
    return float(max(candidates, key=lambda threshold: mean_iou(cases, score > threshold)))
