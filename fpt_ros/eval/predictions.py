# SPDX-License-Identifier: Apache-2.0
"""What a model says of each point of many cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from fpt_ros.inference.moving_part import divergence, moving_probability
from fpt_ros.model.image_embedder import resize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxtyping import Float, UInt8
    from torch import Tensor

    from fpt_ros.eval.cases import Cases
    from fpt_ros.model import EmbeddedImage, FlowPokeTransformer, MotionMixture

AT_ONCE = 8
"""Cases that run through the model together."""
SAMPLES = 5
"""Of the flow, for figures of samples; the best of so many is the paper's best-of-5."""
DRAWS = 99
"""Of the flow, to find how much of the distribution is denser than the truth."""


@dataclass(frozen=True)
class Predictions:
    """Arrays over the points of some `Cases`; lengths in image sides."""

    mean: Float[np.ndarray, "n 2"]
    """Expected displacement: what the node and `MotionMixture.mean` give."""
    sample_errors: Float[np.ndarray, "n 5"]
    """Distances of samples of the distribution from the true flow."""
    spread: Float[np.ndarray, "n"]
    """Predicted uncertainty: root of the trace of the covariance."""
    log_prob: Float[np.ndarray, "n"]
    """Log density at the true flow with the cases' noise, nats."""
    level: Float[np.ndarray, "n"]
    """Probability of the smallest region that holds the true flow with noise: the share of the
    distribution whose density is higher there."""
    moves: Float[np.ndarray, "n"]
    """Probability of a displacement beyond `MOVING`."""
    divergence: Float[np.ndarray, "n"]
    """How much the pokes change the distribution: KL divergence from the one without, nats."""


@torch.no_grad()
def predict(
    model: FlowPokeTransformer,
    cases: Cases,
    pokes: Sequence[int] = (1,),
    images: list[UInt8[np.ndarray, "s s 3"]] | None = None,
    title: str = "asking",
) -> dict[int, Predictions]:
    """Ask the model about the cases, with each number of `pokes`.

    Random numbers are the same each time.

    Args:
        images: to show it in place of the cases' own.
        title: of the progress bar.
    """
    generator = torch.Generator().manual_seed(0)
    shown = [case.image for case in cases.each] if images is None else images
    parts: dict[int, list[Predictions]] = {number: [] for number in pokes}
    with tqdm(total=len(cases), desc=title, unit=" cases", leave=False) as bar:
        for first in range(0, len(cases), AT_ONCE):
            some = type(cases)(cases.each[first : first + AT_ONCE])
            embedded = embed(model, shown[first : first + AT_ONCE])
            for number, found in _predict_some(model, some, pokes, embedded, generator):
                parts[number].append(found)
            bar.update(len(some))
    return {number: _join(found) for number, found in parts.items()}


def _predict_some(
    model: FlowPokeTransformer,
    cases: Cases,
    pokes: Sequence[int],
    embedded: EmbeddedImage,
    generator: torch.Generator,
) -> Iterator[tuple[int, Predictions]]:
    flow, noisy = (torch.from_numpy(a).to(model.device) for a in (cases.flow, cases.noisy_flow))
    unpoked = ask(model, cases, 0, embedded)
    for number in pokes:
        poked = ask(model, cases, number, embedded) if number else unpoked
        values = describe(poked, flow, noisy, generator)
        values["divergence"] = divergence(poked, unpoked) if number else torch.zeros(len(flow))
        yield number, Predictions(**{name: v.cpu().numpy() for name, v in values.items()})


def _join(parts: list[Predictions]) -> Predictions:
    """Predictions of consecutive cases as one."""
    return Predictions(
        **{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])}
    )


def embed(model: FlowPokeTransformer, images: list[UInt8[np.ndarray, "s s 3"]]) -> EmbeddedImage:
    """Square pictures of any sizes, as the model takes them."""
    squares = [torch.from_numpy(image).to(model.device).permute(2, 0, 1) for image in images]
    size = model.config.image_size
    return model.embed_image(torch.cat([resize(s[None] / 127.5 - 1, size) for s in squares]))


def ask(
    model: FlowPokeTransformer, cases: Cases, pokes: int, embedded: EmbeddedImage
) -> MotionMixture:
    """The mixtures [n] of all points, given the first so many pokes."""
    most = max(len(case.points) for case in cases.each)
    points = np.zeros((len(cases), most, 2), np.float32)
    real = np.zeros((len(cases), most), bool)
    for row, case in enumerate(cases.each):
        points[row, : len(case.points)], real[row, : len(case.points)] = case.points, True
    poke = np.stack([case.pokes[:pokes] for case in cases.each])
    static = np.array([case.camera_static for case in cases.each])
    at, flow, asked, camera = (
        torch.from_numpy(np.ascontiguousarray(array)).to(model.device)
        for array in (poke[..., :2], poke[..., 2:], points, static)
    )
    return model.predict_parallel(at, flow, asked, camera, embedded)[torch.from_numpy(real)]


def describe(
    mixture: MotionMixture,
    flow: Float[Tensor, "n 2"],
    noisy_flow: Float[Tensor, "n 2"],
    generator: torch.Generator,
) -> dict[str, Float[Tensor, "n ..."]]:
    """The fields of `Predictions`, without the divergence."""
    log_prob = mixture.log_prob(noisy_flow)
    return {
        "mean": mixture.mean,
        "sample_errors": (mixture.sample(SAMPLES, generator) - flow).norm(dim=-1).T,
        "spread": mixture.covariance.diagonal(dim1=-2, dim2=-1).sum(-1).sqrt(),
        "log_prob": log_prob,
        "level": denser_share(mixture, log_prob, generator),
        "moves": moving_probability(mixture, side=1.0),
    }


def denser_share(
    mixture: MotionMixture, log_prob: Float[Tensor, "n"], generator: torch.Generator
) -> Float[Tensor, "n"]:
    """Share of the distribution where the density is above `log_prob`, from `DRAWS` draws.

    If the truth is a draw from the distribution, its rank among the draws by density is any with
    the same probability, so that shares up to 0.9 come exactly nine times in ten.
    """
    draws = mixture.sample(DRAWS, generator)
    higher = (mixture.log_prob(draws) > log_prob).sum(0)
    return (higher + 0.5) / (DRAWS + 1)
