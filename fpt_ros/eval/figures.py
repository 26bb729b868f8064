# SPDX-License-Identifier: Apache-2.0
"""What predictions are judged by. NumPy only; lengths in image sides.

A mean is taken over the points of each case first, then over the cases that have any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.data.points import MOVING

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from fpt_ros.eval.cases import Cases
    from fpt_ros.eval.predictions import Predictions

PCK_RADII = (0.1, 0.01, 0.001)
REGIONS = (0.5, 0.9)
LEVELS = np.arange(1, 20) / 20
"""Of the calibration curve."""


def case_means(
    cases: Cases,
    values: Float[np.ndarray, "n"],
    weight: Float[np.ndarray, "n"] | Bool[np.ndarray, "n"],
) -> Float[np.ndarray, "c"]:
    """Weighted mean over the points of each case; NaN where none has a positive weight."""
    total = np.bincount(cases.of, weight, len(cases))
    sums = np.bincount(cases.of, values * weight, len(cases))
    return np.divide(sums, total, out=np.full(len(cases), np.nan), where=total > 0)


def mean(
    cases: Cases,
    values: Float[np.ndarray, "n"],
    weight: Float[np.ndarray, "n"] | Bool[np.ndarray, "n"],
) -> float:
    """Mean over cases; NaN where no case has a point of positive weight."""
    return _mean(case_means(cases, values, weight))


def _mean(of_cases: Float[np.ndarray, "c"]) -> float:
    known = of_cases[~np.isnan(of_cases)]
    return float(known.mean()) if len(known) else float("nan")


def _standard_error(of_cases: Float[np.ndarray, "c"]) -> float:
    known = of_cases[~np.isnan(of_cases)]
    return float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else float("nan")


def mean_and_error(of_cases: Float[np.ndarray, "c"]) -> dict[str, float]:
    """Mean over the cases that have a value, and its standard error."""
    return {"mean": _mean(of_cases), "standard_error": _standard_error(of_cases)}


def flow_errors(cases: Cases, predicted: Float[np.ndarray, "n 2"]) -> dict[str, float]:
    """Mean end-point error of an estimate: on the poked body, on all that moves, on what stays, and
    `mean`, of what follows the poke (the body, where bodies are known, else what moves) and what
    stays, with its standard error as if cases had nothing to do with each other."""
    error = np.linalg.norm(predicted - cases.flow, axis=-1)
    same_body, moving, static = (
        case_means(cases, error, of) for of in (cases.same_body, cases.moving, ~cases.moving)
    )
    follows = same_body if cases.same_body.any() else moving
    return {
        "same_body": _mean(same_body),
        "moving": _mean(moving),
        "static": _mean(static),
        "mean": (_mean(follows) + _mean(static)) / 2,
        "mean_standard_error": _standard_error((follows + static) / 2),
    }


def sample_errors(cases: Cases, errors: Float[np.ndarray, "n s"]) -> dict[str, float]:
    """Over the whole picture: end-point error and PCK of a sample, error of each point's best."""
    found = {
        "epe_sample": mean(cases, errors.mean(1), cases.weight),
        f"epe_best_of_{errors.shape[1]}": mean(cases, errors.min(1), cases.weight),
    }
    return found | pck(cases, errors)


def pck(cases: Cases, errors: Float[np.ndarray, "n s"]) -> dict[str, float]:
    """Share of the samples that come as near to the truth, over the whole picture."""
    near = ((errors < radius).mean(1) for radius in PCK_RADII)
    return {
        f"pck_{radius:g}": mean(cases, found, cases.weight)
        for radius, found in zip(PCK_RADII, near, strict=True)
    }


def coverage(cases: Cases, level: Float[np.ndarray, "n"]) -> dict[str, dict[str, float]]:
    """Share of the truths in the 50 and 90 % highest-density regions, over the whole picture, on
    what moves and on the poked body."""
    groups = {"all": cases.weight, "moving": cases.moving, "same_body": cases.same_body}
    return {
        name: {f"{region:.0%}": mean(cases, level <= region, weight) for region in REGIONS}
        for name, weight in groups.items()
    }


def calibration_curve(cases: Cases, level: Float[np.ndarray, "n"]) -> dict[str, list[float]]:
    """Coverage at each of `LEVELS`, over the whole picture, on what moves and on the poked body."""
    groups = {"all": cases.weight, "moving": cases.moving, "same_body": cases.same_body}
    return {
        name: [mean(cases, level <= part, weight) for part in LEVELS]
        for name, weight in groups.items()
    }


def correlation(
    uncertainty: Float[np.ndarray, "n"], error: Float[np.ndarray, "n"]
) -> dict[str, float]:
    """Pearson's, and Spearman's: that of the ranks. NaN where one of them is constant."""
    if len(error) < 2 or not (np.ptp(uncertainty) > 0 and np.ptp(error) > 0):
        return {"pearson": float("nan"), "spearman": float("nan")}
    ranks, other_ranks = (np.argsort(np.argsort(values)) for values in (uncertainty, error))
    return {
        "pearson": float(np.corrcoef(uncertainty, error)[0, 1]),
        "spearman": float(np.corrcoef(ranks, other_ranks)[0, 1]),
    }


def mean_iou(cases: Cases, part: Bool[np.ndarray, "n"]) -> float:
    """Intersection over union of a predicted moving part with the true one, mean over the cases in
    which something but the pokes moves. NaN where there is none."""
    both = np.bincount(cases.of, part & cases.moving, len(cases))
    either = np.bincount(cases.of, part | cases.moving, len(cases))
    judged = np.bincount(cases.of, cases.moving, len(cases)) > 0
    return float(np.mean(both[judged] / either[judged])) if judged.any() else float("nan")


def distribution_figures(cases: Cases, predicted: Predictions) -> dict:
    """What the distribution is worth over the whole picture, and how far it can be believed."""
    error = np.linalg.norm(predicted.mean - cases.flow, axis=-1)
    moving = cases.moving
    return {
        "nll": -mean(cases, predicted.log_prob, cases.weight),
        "epe_mean": mean(cases, error, cases.weight),
        **sample_errors(cases, predicted.sample_errors),
        "coverage": coverage(cases, predicted.level),
        "calibration_curve": calibration_curve(cases, predicted.level),
        "correlation": {
            "all": correlation(predicted.spread, error),
            "moving": correlation(predicted.spread[moving], error[moving]),
        },
        "believed_moving": mean(cases, predicted.moves, cases.weight),
        # With the noise, which is part of what is predicted.
        "truly_moving": mean(
            cases, np.linalg.norm(cases.noisy_flow, axis=-1) > MOVING, cases.weight
        ),
    }
