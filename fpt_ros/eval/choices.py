# SPDX-License-Identifier: Apache-2.0
"""What has to be chosen before judging, and never on what is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.eval.baselines import Baseline, choose_baselines
from fpt_ros.eval.figures import flow_errors, mean_iou

if TYPE_CHECKING:
    from jaxtyping import Float

    from fpt_ros.eval.cases import Cases
    from fpt_ros.eval.predictions import Predictions

ESTIMATES = ("mean", "likeliest")


@dataclass(frozen=True)
class Choices:
    """What suits some cases best."""

    estimate: str
    """The field of `Predictions` taken as the displacement, by error."""
    divergence_threshold: float
    """Nats, by IoU of the divergence alone, as the paper has it."""
    disc: float
    """Radius of the disc round the poke, by IoU, in image sides."""
    baselines: list[Baseline]


def choose(cases: Cases, predicted: Predictions) -> Choices:
    """The best choices on `cases`."""

    def error(name: str) -> float:
        return flow_errors(cases, getattr(predicted, name))["mean"]

    return Choices(
        estimate=min(ESTIMATES, key=error),
        divergence_threshold=best_threshold(cases, predicted.divergence),
        disc=-best_threshold(cases, -cases.distance),
        baselines=choose_baselines(cases),
    )


def best_threshold(cases: Cases, score: Float[np.ndarray, "n"]) -> float:
    """The threshold above which `score` finds the moving part best."""
    candidates = np.quantile(score, np.linspace(0.02, 0.995, 120))
    return float(max(candidates, key=lambda threshold: mean_iou(cases, score > threshold)))
