"""``fpt-eval``: the figures of a checkpoint on held-out scenes, as the README shows them.

Whatever has to be chosen (thresholds, the baselines' widths) is chosen on the validation scenes.
Everything is measured a second time with the pictures exchanged between scenes: a model that
does not look at the picture would lose nothing.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from fpt_ros.model import FlowPokeTransformer, load_checkpoint
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

    from fpt_ros.model import MotionMixture

SETS = {
    "heldout_a": "A: known objects, new tasks",
    "heldout_b": "B: unseen objects",
    "heldout_c": "C: new procedural scenes",
    "heldout_d": "D: unseen scene type",
}
AT_ONCE = 16
# Beyond this a point clearly moves: five times the noise that the targets are trained with.
CLEARLY = 0.01


@dataclass(frozen=True)
class Predictions:
    """What the model says of each point of each case."""

    mean: Float[np.ndarray, "c n 2"]
    """Expected displacement."""
    likeliest: Float[np.ndarray, "c n 2"]
    """Mean of the heaviest component."""
    moves: Float[np.ndarray, "c n"]
    """Probability of a displacement beyond ``CLEARLY``."""
    divergence: Float[np.ndarray, "c n"]
    """How much the poke changes the distribution: KL divergence from the one without."""
    log_likelihood: Float[np.ndarray, "c n"]
    log_likelihood_unpoked: Float[np.ndarray, "c n"]


def describe(
    poked: MotionMixture, unpoked: MotionMixture, flow: Float[np.ndarray, "b n 2"]
) -> dict[str, Float[np.ndarray, "b n ..."]]:
    """The fields of ``Predictions`` for one batch of cases."""
    target = torch.from_numpy(flow)
    top = poked.weights.argmax(-1)[..., None, None].expand(*poked.shape, 1, 2)
    generator = torch.Generator().manual_seed(0)
    found = {
        "mean": poked.mean,
        "likeliest": poked.locs.gather(-2, top).squeeze(-2),
        "moves": 1 - poked.probability_within(torch.zeros(2), CLEARLY),
        "divergence": poked.kl_divergence(unpoked, samples=64, generator=generator),
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
    """What was chosen on the validation scenes."""

    estimate: str
    """The field of ``Predictions`` taken as the displacement."""
    score: str
    """The field whose value above ``threshold`` means "belongs to the moving part"."""
    threshold: float
    sigma: float
    disc: float
    """Radius of the disc round the poke."""


def score_of(predicted: Predictions, name: str) -> Float[np.ndarray, "c n"]:
    """A field of the predictions as one number a point: flows by their length."""
    values = getattr(predicted, name)
    return np.linalg.norm(values, axis=-1) if values.ndim == 3 else values


def choose(cases: Cases, predicted: Predictions) -> Choices:
    """The best choices for our model, and likewise for the baselines, on validation scenes."""
    estimate = min(
        ("mean", "likeliest"), key=lambda name: errors(cases, getattr(predicted, name))["mean"]
    )
    found = {
        name: best_threshold(cases, score_of(predicted, name))
        for name in ("mean", "likeliest", "moves", "divergence")
    }
    score = max(found, key=lambda name: found[name][1])
    disc, _ = best_threshold(cases, -cases.distance)
    return Choices(estimate, score, found[score][0], best_sigma(cases), -disc)


def judge(cases: Cases, predicted: Predictions, choices: Choices) -> dict[str, float]:
    """Errors, moving-part IoU, calibration and negative log-likelihood of some predictions."""
    part = score_of(predicted, choices.score) > choices.threshold
    clearly_moving = np.linalg.norm(cases.flow, axis=-1) > CLEARLY
    uniform = slice(cases.uniform)
    return {
        **errors(cases, getattr(predicted, choices.estimate)),
        "iou": mean_iou(cases, part),
        # Calibration: over the whole picture, how much is believed to move, and how much does.
        "believed_moving": float(predicted.moves[:, uniform].mean()),
        "truly_moving": float(clearly_moving[:, uniform].mean()),
        "nll": -float(predicted.log_likelihood[:, uniform].mean()),
        "nll_unpoked": -float(predicted.log_likelihood_unpoked[:, uniform].mean()),
    }


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
        "| four pokes, same body | IoU | disc | pictures shuffled | NLL | shuffled |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, found in figures.items():
        ours, wrong = found["ours"], found["shuffled"]
        best = min(baseline["mean"] for baseline in found["baselines"].values())
        lines.append(
            f"| {SETS[name]} | {ours['same_body']:.1%} / {ours['static']:.1%} "
            f"| **{ours['mean']:.2%}** | {best:.2%} | {wrong['mean']:.2%} "
            f"| {found['four_pokes']['same_body']:.1%} "
            f"| **{ours['iou']:.3f}** | {found['disc_iou']:.3f} | {wrong['iou']:.3f} "
            f"| {ours['nll']:.2f} | {wrong['nll']:.2f} |"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Evaluate as the command line says; figures and a picture go to ``--out``."""
    parser = argparse.ArgumentParser(prog="fpt-eval", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with val/ and heldout_*/")
    parser.add_argument("--checkpoint", default="embedded")
    parser.add_argument("--out", type=Path, required=True, help="folder for figures and picture")
    parser.add_argument("--pictures", type=int, default=300, help="at most, from each set")
    options = parser.parse_args(arguments)
    model = load_checkpoint(options.checkpoint, device="cpu", dtype="float32")
    options.out.mkdir(parents=True, exist_ok=True)

    def cases_of(split: str) -> Cases:
        return make_cases(load_scenes(options.data / split, limit=options.pictures))

    val = cases_of("val")
    choices = choose(val, predict(model, val, val.images))
    sets = {name: cases_of(name) for name in SETS}
    figures = {
        name: judge_set(model, cases, choices) for name, cases in tqdm(sets.items(), unit=" sets")
    }
    record = {"choices": vars(choices), "sets": figures}
    (options.out / "figures.json").write_text(json.dumps(record, indent=2) + "\n")
    write_contact_sheet(model, sets, options.out / "contact_sheet.png")
    print(table(figures))


if __name__ == "__main__":
    main()
