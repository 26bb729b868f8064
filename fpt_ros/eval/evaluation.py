"""All figures of one set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.eval.figures import distribution_figures, flow_errors, mean, mean_iou, pck
from fpt_ros.eval.predictions import Predictions, predict
from fpt_ros.eval.threshold import found_moving

if TYPE_CHECKING:
    from fpt_ros.eval.baselines import Baseline
    from fpt_ros.eval.cases import Cases
    from fpt_ros.eval.choices import Choices
    from fpt_ros.model import FlowPokeTransformer

PREDICTED = {"no_poke": 0, "one_poke": 1, "four_pokes": 4}


@dataclass(frozen=True)
class Evaluation:
    """What was asked, what the model said, and what that is worth."""

    cases: Cases
    one_poke: Predictions
    figures: dict


def evaluate(
    name: str, model: FlowPokeTransformer, cases: Cases, skip: int, choices: Choices
) -> Evaluation:
    """The figures of one set, with each number of pokes, wrong pictures, and of the baselines."""
    found = predict(model, cases, tuple(PREDICTED.values()), title=name)
    figures = {
        "cases": len(cases),
        "clips": len({case.key for case in cases.each}),
        "points": len(cases.flow),
        "skip": skip,
        "moving_cameras": float(np.mean([not case.camera_static for case in cases.each])),
        "bodies_known": bool(cases.same_body.any()),
        **{
            condition: judge(model, cases, found[number], choices)
            for condition, number in PREDICTED.items()
        },
        "shuffled": judge_shuffled(name, model, cases, choices),
        "baselines": {b.name: judge_baseline(cases, b) for b in choices.baselines},
        "disc_iou": mean_iou(cases, cases.distance < choices.disc),
    }
    return Evaluation(cases, found[1], figures)


def judge(
    model: FlowPokeTransformer, cases: Cases, predicted: Predictions, choices: Choices
) -> dict:
    """Errors, moving part and distribution of some predictions."""
    part = found_moving(predicted, model.config.motion_threshold)
    return {
        **flow_errors(cases, getattr(predicted, choices.estimate)),
        "iou": mean_iou(cases, part),
        "divergence_iou": mean_iou(cases, predicted.divergence > choices.divergence_threshold),
        **distribution_figures(cases, predicted),
    }


def judge_shuffled(
    name: str, model: FlowPokeTransformer, cases: Cases, choices: Choices
) -> dict | None:
    """The same for one poke and another clip's picture; nothing where there is one clip only."""
    others = other_clips([case.key for case in cases.each])
    if others is None:
        return None
    images = [cases.each[i].image for i in others]
    wrong = predict(model, cases, images=images, title=f"{name}, pictures shuffled")[1]
    return judge(model, cases, wrong, choices)


def other_clips(clips: list[str]) -> list[int] | None:
    """For each case, given its clip, the index of another clip's, about half the set away.

    Clips of one scene stand next to each other, so this exchanges pictures between scenes.
    """
    count = len(clips)
    if len(set(clips)) < 2:
        return None
    away = [(number + count // 2) % count for number in range(count)]
    return [
        next(i % count for i in range(start, start + count) if clips[i % count] != clips[number])
        for number, start in enumerate(away)
    ]


def judge_baseline(cases: Cases, baseline: Baseline) -> dict[str, float]:
    """What a baseline has of `judge`."""
    estimate = baseline.estimate(cases)
    error = np.linalg.norm(estimate - cases.flow, axis=-1)
    return {
        **flow_errors(cases, estimate),
        "epe": mean(cases, error, cases.weight),
        **pck(cases, error[:, None]),
        "nll": -mean(cases, baseline.log_prob(cases), cases.weight),
    }
