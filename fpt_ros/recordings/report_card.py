# SPDX-License-Identifier: Apache-2.0
"""Figures of a checkpoint on a recording's stretches, beside baselines, and what follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fpt_ros.eval.cases import Cases
from fpt_ros.eval.choices import choose
from fpt_ros.eval.figures import case_means, mean, mean_iou
from fpt_ros.eval.predictions import predict
from fpt_ros.eval.threshold import found_moving
from fpt_ros.inference.moving import MOVING
from fpt_ros.recordings.calibrating import fitted_spread, held, scores
from fpt_ros.recordings.motion_kinds import KINDS, kind_of_motion

if TYPE_CHECKING:
    from jaxtyping import Float

    from fpt_ros.eval.baselines import Baseline
    from fpt_ros.model import FlowPokeTransformer
    from fpt_ros.recordings.stretches import Stretch

PARTS = 8
"""Of the recording, for figures by time."""
FEWEST = 8
"""Cases to judge, at least: fewer say nothing."""
BETTER, SURE = 0.9, 2.0
"""Weights are used as they are where their error is below this share of the best baseline's, by at
least so many standard errors of the difference, and their likelihood is higher."""
TRUE = 0.85
"""Regions of 90 % that hold less need the calibration file."""


@dataclass(frozen=True)
class Halves:
    """The stretches in turns: what is chosen and fitted is so on the first of each two, judged is
    the second."""

    fitted: list[Stretch]
    judged: list[Stretch]

    @classmethod
    def of(cls, stretches: list[Stretch]) -> Halves:
        return cls(stretches[0::2], stretches[1::2])


@dataclass(frozen=True)
class Card:
    """What is found of one checkpoint; errors are in picture sides. `errors` is that of each case:
    half of it on what moves, half on what stays."""

    name: str
    figures: dict[str, Any]
    errors: Float[np.ndarray, " c"]
    spread: float


def judge_baselines(
    model: FlowPokeTransformer, halves: Halves
) -> tuple[dict[str, dict[str, Any]], dict[str, Float[np.ndarray, " c"]]]:
    """Figures and each case's error of every baseline; they do not depend on `model`."""
    fitted, judged = _cases(halves.fitted), _cases(halves.judged)
    choices = choose(fitted, predict(model, fitted, title="choosing baselines")[1])
    figures, errors = {}, {}
    for baseline in choices.baselines:
        figures[baseline.name], errors[baseline.name] = _judge_baseline(baseline, judged)
    disc = judged.distance < choices.disc
    return {**figures, "disc round the poke": {"overlap": mean_iou(judged, disc)}}, errors


def judge(name: str, model: FlowPokeTransformer, halves: Halves) -> Card:
    """Figures of a checkpoint."""
    fitted, judged = _cases(halves.fitted), _cases(halves.judged)
    spread = fitted_spread(scores(model, fitted), fitted.moving)
    predicted = predict(model, judged, title=name)[1]
    reached = scores(model, judged)
    part = found_moving(predicted, model.config.motion_threshold)
    errors = case_errors(judged, predicted.mean)
    figures = {
        **_errors(judged, predicted.mean),
        "log_likelihood": mean(judged, predicted.log_prob, judged.weight),
        "overlap": mean_iou(judged, part),
        "holds_as_stated": held(reached, judged.moving, 1.0),
        "holds_calibrated": held(reached, judged.moving, spread),
        "spread": spread,
    }
    return Card(name, figures, errors, spread)


def _judge_baseline(
    baseline: Baseline, cases: Cases
) -> tuple[dict[str, Any], Float[np.ndarray, " c"]]:
    estimate = baseline.estimate(cases)
    figures = {
        **_errors(cases, estimate),
        "log_likelihood": mean(cases, baseline.log_prob(cases, estimate), cases.weight),
        "overlap": mean_iou(cases, np.linalg.norm(estimate, axis=-1) > MOVING),
    }
    return figures, case_errors(cases, estimate)


def case_errors(cases: Cases, estimate: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " c"]:
    """End-point error of each case: the mean of that on what moves and that on what stays, or of
    one of them where the other is not there."""
    error = np.linalg.norm(estimate - cases.flow, axis=-1)
    both = [case_means(cases, error, cases.moving), case_means(cases, error, ~cases.moving)]
    return np.asarray(np.nanmean(both, 0))


def _errors(cases: Cases, estimate: Float[np.ndarray, "n 2"]) -> dict[str, float]:
    error = np.linalg.norm(estimate - cases.flow, axis=-1)
    return {
        "error": float(case_errors(cases, estimate).mean()),
        "error_moving": mean(cases, error, cases.moving),
        "error_still": mean(cases, error, ~cases.moving),
    }


def best_baseline(figures: dict[str, dict[str, Any]]) -> str:
    """The one of least error."""
    judged = {name: of["error"] for name, of in figures.items() if "error" in of}
    return min(judged, key=judged.__getitem__)


def by_kind(
    halves: Halves, errors: dict[str, Float[np.ndarray, " c"]]
) -> dict[str, dict[str, Any]]:
    """Number of cases and mean errors for each kind of motion that there is."""
    kinds = np.array([kind_of_motion(stretch.case) for stretch in halves.judged])
    return {kind: _among(errors, kinds == kind) for kind in KINDS if (kinds == kind).any()}


def by_time(halves: Halves, errors: dict[str, Float[np.ndarray, " c"]]) -> list[dict[str, Any]]:
    """The same for each part of the recording's time."""
    when = np.array([stretch.seconds for stretch in halves.judged])
    edges = np.linspace(when.min(), when.max() + 1e-6, PARTS + 1)
    part = np.digitize(when, edges) - 1
    return [
        {"from": float(edges[n]), "to": float(edges[n + 1]), **_among(errors, part == n)}
        for n in range(PARTS)
        if (part == n).any()
    ]


def _among(errors: dict[str, Float[np.ndarray, " c"]], chosen: np.ndarray) -> dict[str, Any]:
    means = {name: float(of[chosen].mean()) for name, of in errors.items()}
    return {"cases": int(chosen.sum()), "errors": means}


def verdict(
    card: Card, baselines: dict[str, dict[str, Any]], errors: dict[str, Float[np.ndarray, " c"]]
) -> tuple[str, str]:
    """A word (use, tune, not, unknown) and a sentence with the figures that it rests on."""
    name, count = best_baseline(baselines), len(card.errors)
    if count < FEWEST:
        return (
            "unknown",
            f"Only {count} stretches to judge on, at least {FEWEST} are needed: record more.",
        )
    less = errors[name] - card.errors
    surely = less.mean() / max(float(less.std(ddof=1)) / np.sqrt(count), 1e-12)
    ours, best = card.figures, baselines[name]
    why = (
        f"its error is {ours['error']:.2%} of the picture's side, that of the best baseline "
        f"({name}) {best['error']:.2%} ({surely:+.1f} standard errors), its log-likelihood "
        f"{ours['log_likelihood']:.2f} against {best['log_likelihood']:.2f}"
    )
    likelier = ours["log_likelihood"] > best["log_likelihood"]
    with_file = ours["holds_as_stated"]["moving"] < TRUE
    can_be_true = not with_file or bool(np.isfinite(card.spread))
    if ours["error"] < BETTER * best["error"] and surely > SURE and likelier and can_be_true:
        calibrated = ", with the calibration file" if with_file else ""
        return "use", f"Use {card.name} as it is{calibrated}: {why}."
    if ours["error"] < baselines["nothing moves"]["error"]:
        return "tune", f"Tune {card.name} on recordings of this robot before use: {why}."
    return (
        "not",
        f"Do not use {card.name} here: {why}, which is no better than saying that nothing moves.",
    )


def _cases(stretches: list[Stretch]) -> Cases:
    return Cases([stretch.case for stretch in stretches])
