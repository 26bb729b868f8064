# SPDX-License-Identifier: Apache-2.0
"""All figures of one set."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from fpt_ros.eval.baselines import body_like_poke
from fpt_ros.eval.cases import POKES, Cases
from fpt_ros.eval.figures import distribution_figures, flow_errors, mean, mean_iou, pck
from fpt_ros.eval.predictions import Predictions, predict
from fpt_ros.eval.segmenters import parts_at_points
from fpt_ros.eval.splits import split_figures
from fpt_ros.eval.threshold import found_moving

if TYPE_CHECKING:
    from jaxtyping import Float

    from fpt_ros.eval.baselines import Baseline
    from fpt_ros.eval.choices import Choices
    from fpt_ros.model import FlowPokeTransformer


@dataclass(frozen=True)
class Evaluation:
    """What was asked, what the model said, and what that is worth."""

    cases: Cases
    one_poke: Predictions
    figures: dict
    estimates: dict[str, Float[np.ndarray, "n 2"]]
    """Each baseline's."""


def evaluate(
    name: str, model: FlowPokeTransformer, cases: Cases, skip: int, choices: Choices
) -> Evaluation:
    """The figures of one set, with each number of pokes, wrong pictures, and of the baselines."""
    found = predict(model, cases, (0, 1, POKES), title=name)
    bodies_known = bool(cases.same_body.any())
    estimates = {b.name: b.estimate(cases) for b in choices.baselines}
    perfect = {"perfect parts, like the poke": body_like_poke(cases)} if bodies_known else {}
    parts = parts_at_points(choices.segmenters, cases, f"{name}, segmenting")
    figures = {
        "cases": len(cases),
        "clips": len({case.key for case in cases.each}),
        "points": len(cases.flow),
        "skip": skip,
        "moving_cameras": float(np.mean([not case.camera_static for case in cases.each])),
        "bodies_known": bodies_known,
        "no_poke": judge_distribution(cases, found[0]),
        "one_poke": judge(model, cases, found[1], choices),
        "four_pokes": judge(model, cases, found[POKES], choices),
        "shuffled": judge_shuffled(name, model, cases, choices),
        "baselines": {
            b.name: judge_baseline(cases, b, estimates[b.name]) for b in choices.baselines
        },
        "body_like_poke": flow_errors(cases, body_like_poke(cases)) if bodies_known else None,
        "disc_iou": mean_iou(cases, cases.distance < choices.disc),
        "segmenter_iou": {
            segmenter.name: mean_iou(cases, part)
            for segmenter, part in zip(choices.segmenters, parts, strict=True)
        },
        "splits": split_figures(cases, {"ours": found[1].mean, **estimates, **perfect}),
    }
    return Evaluation(cases, found[1], figures, estimates)


def judge_distribution(cases: Cases, predicted: Predictions) -> dict:
    """Errors of the mean, and the distribution, of some predictions."""
    return {
        **flow_errors(cases, predicted.mean),
        **distribution_figures(cases, predicted),
    }


def judge(
    model: FlowPokeTransformer, cases: Cases, predicted: Predictions, choices: Choices
) -> dict:
    """The same, and the moving part: of predictions with pokes."""
    alone = predicted.divergence > choices.divergence_threshold
    return {
        **judge_distribution(cases, predicted),
        "iou": mean_iou(cases, found_moving(predicted, model.config.motion_threshold)),
        "divergence_iou": mean_iou(cases, alone),
    }


def judge_shuffled(
    name: str, model: FlowPokeTransformer, cases: Cases, choices: Choices
) -> dict | None:
    """The same for one poke and another scene's picture; nothing where there is one scene only."""
    others = other_scenes([case.scene for case in cases.each])
    if others is None:
        tqdm.write(f"{name}: all clips show one scene: no pictures to exchange", file=sys.stderr)
        return None
    images = [cases.each[i].image for i in others]
    wrong = predict(model, cases, images=images, title=f"{name}, pictures shuffled")[1]
    return judge(model, cases, wrong, choices)


def other_scenes(scenes: list[str]) -> list[int] | None:
    """For each case, given its scene, the index of another scene's, about half the set away; None
    where all are of one scene."""
    count = len(scenes)
    if len(set(scenes)) < 2:
        return None
    away = [(number + count // 2) % count for number in range(count)]
    return [
        next(i % count for i in range(start, start + count) if scenes[i % count] != scenes[number])
        for number, start in enumerate(away)
    ]


def judge_baseline(
    cases: Cases, baseline: Baseline, estimate: Float[np.ndarray, "n 2"]
) -> dict[str, float]:
    """What a baseline, with its estimate of the cases, has of `judge`."""
    error = np.linalg.norm(estimate - cases.flow, axis=-1)
    return {
        **flow_errors(cases, estimate),
        "epe": mean(cases, error, cases.weight),
        **pck(cases, error[:, None]),
        "nll": -mean(cases, baseline.log_prob(cases, estimate), cases.weight),
    }
