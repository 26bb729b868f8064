"""``fpt-eval``: the figures of a checkpoint on held-out scenes, as the README shows them.

Whatever has to be chosen (thresholds, the baselines' widths) is chosen on training scenes.
Everything is measured a second time with the pictures exchanged between scenes: a model that
does not look at the picture would lose nothing.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from fpt_ros.model import FlowPokeTransformer, load_checkpoint
from fpt_ros.moving_part import CLEARLY, divergence, moving_part, moving_probability
from fpt_ros.training.contact_sheet import write_contact_sheet
from fpt_ros.training.metrics import (
    Cases,
    baselines,
    best_sigma,
    best_threshold,
    errors,
    make_cases,
    mean_iou,
    shuffle_pictures,
)
from fpt_ros.training.scenes import load_scenes, to_model

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8
    from torch import Tensor

    from fpt_ros.model import MotionMixture

SETS = {
    "heldout_a": "A: known objects, new tasks",
    "heldout_b": "B: unseen objects",
    "heldout_c": "C: new procedural scenes",
    "heldout_d": "D: unseen scene type",
}
AT_ONCE = 16


@dataclass(frozen=True)
class Predictions:
    """What the model says of each point of each case."""

    mean: Float[np.ndarray, "c n 2"]
    """Expected displacement."""
    likeliest: Float[np.ndarray, "c n 2"]
    """Mean of the heaviest component."""
    moves: Float[np.ndarray, "c n"]
    """Probability of a clear motion."""
    divergence: Float[np.ndarray, "c n"]
    """How much the poke changes the distribution: KL divergence from the one without, nats."""
    log_likelihood: Float[np.ndarray, "c n"]
    log_likelihood_unpoked: Float[np.ndarray, "c n"]


def describe(
    poked: MotionMixture, unpoked: MotionMixture, flow: Float[np.ndarray, "b n 2"]
) -> dict[str, Float[np.ndarray, "b n ..."]]:
    """The fields of ``Predictions`` for one batch of cases."""
    target = torch.from_numpy(flow)
    top = poked.weights.argmax(-1)[..., None, None].expand(*poked.shape, 1, 2)
    found = {
        "mean": poked.mean,
        "likeliest": poked.locs.gather(-2, top).squeeze(-2),
        "moves": moving_probability(poked, side=1.0),
        "divergence": divergence(poked, unpoked),
        "log_likelihood": poked.log_prob(target),
        "log_likelihood_unpoked": unpoked.log_prob(target),
    }
    return {name: value.numpy() for name, value in found.items()}


@torch.no_grad()
def predict(
    model: FlowPokeTransformer,
    cases: Cases,
    images: UInt8[np.ndarray, "c s s 3"],
    pokes: int = 1,
) -> Predictions:
    """Ask the model about the cases, showing it ``images``."""
    parts = []
    for start in range(0, len(images), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        embedded = model.embed_image(torch.from_numpy(to_model(list(images[rows]))))
        points, flow = torch.from_numpy(cases.points[rows]), torch.from_numpy(cases.flow[rows])
        chosen = torch.from_numpy(cases.pokes[rows, :pokes, None]).expand(-1, -1, 2)
        poke_pos, poke_flow = points.gather(1, chosen), flow.gather(1, chosen)
        poked = model.predict_parallel(poke_pos, poke_flow, points, True, embedded)
        none = poke_pos[:, :0]
        unpoked = model.predict_parallel(none, none, points, True, embedded)
        parts.append(describe(poked, unpoked, cases.flow[rows]))
    return Predictions(**{name: np.concatenate([p[name] for p in parts]) for name in parts[0]})


@dataclass(frozen=True)
class Choices:
    """What was chosen on training scenes."""

    estimate: str
    """The field of ``Predictions`` taken as the displacement."""
    motion_threshold: float
    """Of the divergence, nats, for points that are likely to move: see ``fpt_ros.moving_part``."""
    divergence_threshold: float
    """Of the divergence alone, as the paper has it."""
    sigma: float
    disc: float
    """Radius of the disc round the poke."""


def choose_motion_threshold(cases: Cases, predicted: Predictions) -> float:
    """The divergence above which the moving part is found best, nats; the highest of equals."""
    thresholds = np.arange(61) / 20
    found = [moving_part(*_as_tensors(predicted), t).numpy() for t in thresholds]
    ious = np.array([mean_iou(cases, part) for part in found])
    return float(thresholds[ious == ious.max()].max())


def choose(cases: Cases, predicted: Predictions) -> Choices:
    """The best choices for our model, and likewise for the baselines, on ``cases``."""
    estimate = min(
        ("mean", "likeliest"), key=lambda name: errors(cases, getattr(predicted, name))["mean"]
    )
    alone, _ = best_threshold(cases, predicted.divergence)
    disc, _ = best_threshold(cases, -cases.distance)
    threshold = choose_motion_threshold(cases, predicted)
    return Choices(estimate, threshold, alone, best_sigma(cases), -disc)


def judge(cases: Cases, predicted: Predictions, choices: Choices) -> dict[str, float]:
    """Errors, moving-part IoU, calibration and negative log-likelihood of some predictions."""
    part = moving_part(*_as_tensors(predicted), choices.motion_threshold).numpy()
    clearly_moving = np.linalg.norm(cases.flow, axis=-1) > CLEARLY
    uniform = slice(cases.uniform)
    return {
        **errors(cases, getattr(predicted, choices.estimate)),
        "iou": mean_iou(cases, part),
        "divergence_iou": mean_iou(cases, predicted.divergence > choices.divergence_threshold),
        # Calibration: over the whole picture, how much is believed to move, and how much does.
        "believed_moving": float(predicted.moves[:, uniform].mean()),
        "truly_moving": float(clearly_moving[:, uniform].mean()),
        "nll": -float(predicted.log_likelihood[:, uniform].mean()),
        "nll_unpoked": -float(predicted.log_likelihood_unpoked[:, uniform].mean()),
    }


def _as_tensors(predicted: Predictions) -> tuple[Tensor, Tensor]:
    """What decides about the moving part: divergence and probability."""
    return torch.from_numpy(predicted.divergence), torch.from_numpy(predicted.moves)


def judge_set(model: FlowPokeTransformer, cases: Cases, choices: Choices) -> dict:
    """All figures of one set: ours, ours with wrong pictures, with four pokes, the baselines."""
    shuffled = cases.images[shuffle_pictures(len(cases.images))]
    four = predict(model, cases, cases.images, pokes=4)
    return {
        "pictures": len(cases.images),
        "ours": judge(cases, predict(model, cases, cases.images), choices),
        "shuffled": judge(cases, predict(model, cases, shuffled), choices),
        "four_pokes": errors(cases, getattr(four, choices.estimate)),
        "baselines": {
            name: errors(cases, baseline(cases))
            for name, baseline in baselines(choices.sigma).items()
        },
        "disc_iou": mean_iou(cases, cases.distance < choices.disc),
    }


def table(figures: dict[str, dict]) -> str:
    """The figures as the README's Markdown table. Errors are in percent of the image's side."""
    lines = [
        "| set | error: same body / static | mean | best baseline | pictures shuffled "
        "| four pokes, same body | NLL | shuffled |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, found in figures.items():
        ours, wrong = found["ours"], found["shuffled"]
        best = min(baseline["mean"] for baseline in found["baselines"].values())
        lines.append(
            f"| {SETS[name]} | {ours['same_body']:.1%} / {ours['static']:.1%} "
            f"| **{ours['mean']:.2%}** | {best:.2%} | {wrong['mean']:.2%} "
            f"| {found['four_pokes']['same_body']:.1%} "
            f"| {ours['nll']:.2f} | {wrong['nll']:.2f} |"
        )
    return "\n".join(lines)


def moving_part_table(figures: dict[str, dict]) -> str:
    """The moving part's mean IoU as the README's Markdown table."""
    lines = [
        "| set | moving part, IoU | divergence alone | disc round the poke | pictures shuffled |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, found in figures.items():
        ours, wrong = found["ours"], found["shuffled"]
        lines.append(
            f"| {SETS[name]} | **{ours['iou']:.3f}** | {ours['divergence_iou']:.3f} "
            f"| {found['disc_iou']:.3f} | {wrong['iou']:.3f} |"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Evaluate as the command line says; figures and a picture go to ``--out``."""
    parser = argparse.ArgumentParser(prog="fpt-eval", description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with train/ and heldout_*/"
    )
    parser.add_argument("--checkpoint", default="embedded")
    parser.add_argument("--out", type=Path, required=True, help="folder for figures and picture")
    parser.add_argument("--pictures", type=int, default=300, help="at most, from each set")
    options = parser.parse_args(arguments)
    model = load_checkpoint(options.checkpoint, device="cpu", dtype="float32")
    options.out.mkdir(parents=True, exist_ok=True)

    def cases_of(split: str) -> Cases:
        return make_cases(load_scenes(options.data / split, limit=options.pictures))

    known = cases_of("train")
    choices = choose(known, predict(model, known, known.images))
    # The checkpoint brings its own, chosen when it was trained.
    choices = replace(choices, motion_threshold=model.config.motion_threshold)
    sets = {name: cases_of(name) for name in SETS}
    figures = {
        name: judge_set(model, cases, choices) for name, cases in tqdm(sets.items(), unit=" sets")
    }
    record = {"choices": vars(choices), "sets": figures}
    (options.out / "figures.json").write_text(json.dumps(record, indent=2) + "\n")
    write_contact_sheet(model, sets, options.out / "contact_sheet.png")
    print(table(figures))
    print()
    print(moving_part_table(figures))


if __name__ == "__main__":
    main()
