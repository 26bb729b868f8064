# SPDX-License-Identifier: Apache-2.0
"""Predictions that a model has to beat, some of them from the picture; distributions round them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.eval.figures import flow_errors, mean_iou
from fpt_ros.eval.segmenters import CANDIDATES, Segmenter, parts_at_points

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from fpt_ros.eval.cases import Cases

SIGMAS = 0.001 * 2.0 ** np.arange(10)
"""Of the normals of which a baseline's distribution is made, in image sides: to half of one."""
ROUNDS = 200
BLIND = ("nothing moves", "all moves like the poke", "poke fading with distance")
"""Names of the baselines that see no picture."""


@dataclass(frozen=True)
class Baseline:
    """An estimate of the flow, and a distribution of the same shape round each point's."""

    name: str
    fading: float
    """Distance at which the poke's flow has faded as a normal has at its standard deviation; 0:
    nothing moves, infinite: all moves like the poke."""
    shares: Float[np.ndarray, "s"]
    """Of normals of the widths `SIGMAS` about the estimate."""
    segmenter: Segmenter | None = None
    """Cuts out of the picture what moves at all; None: sees no picture."""

    def estimate(self, cases: Cases) -> Float[np.ndarray, "n 2"]:
        moved = faded(cases, self.fading)
        if self.segmenter is None:
            return moved
        return moved * parts_at_points([self.segmenter], cases, self.name)[0][:, None]

    def log_prob(
        self, cases: Cases, estimate: Float[np.ndarray, "n 2"] | None = None
    ) -> Float[np.ndarray, "n"]:
        """Log density at the true flow with the cases' noise, nats; `estimate` saves making it."""
        estimate = self.estimate(cases) if estimate is None else estimate
        return np.log(_densities(cases, estimate) @ self.shares)


def faded(cases: Cases, fading: float) -> Float[np.ndarray, "n 2"]:
    """The poke's flow, less and less with the distance from it."""
    if fading == 0:
        return np.zeros_like(cases.flow)
    return cases.poke_flow * np.exp(-((cases.distance / fading) ** 2) / 2)[:, None]


def body_like_poke(cases: Cases) -> Float[np.ndarray, "n 2"]:
    """The poke's flow on all of the poked body, as the truth has it, and nowhere else: what perfect
    segmentation gives. No baseline, as it knows bodies; it says how much is in how they move."""
    return cases.poke_flow * cases.same_body[:, None]


def choose_baselines(cases: Cases) -> list[Baseline]:
    """The baselines that see no picture, with what has to be chosen as it suits `cases` best: the
    fading by error, the distributions by likelihood."""
    candidates = np.linspace(0.02, 0.6, 59)
    best = min(candidates, key=lambda fading: flow_errors(cases, faded(cases, fading))["mean"])
    return [
        Baseline(name, fading, likeliest_shares(cases, faded(cases, fading)))
        for name, fading in zip(BLIND, (0.0, np.inf, float(best)), strict=True)
    ]


def choose_segmenters(cases: Cases) -> tuple[list[Baseline], list[Segmenter]]:
    """The baselines that see the picture: what each segmenter cuts out moves like the poke.

    Returns:
        The baselines, settings chosen by error; and of each segmenter the settings that find the
        moving part best, by IoU.
    """
    baselines, finders = [], []
    for name, candidates in CANDIDATES.items():
        parts = parts_at_points(candidates, cases, f"choosing: {name}")
        estimates = [cases.poke_flow * part[:, None] for part in parts]
        best = int(np.argmin([flow_errors(cases, e)["mean"] for e in estimates]))
        shares = likeliest_shares(cases, estimates[best])
        baselines.append(Baseline(name, np.inf, shares, candidates[best]))
        finders.append(candidates[_best_finder(cases, parts)])
    return baselines, finders


def _best_finder(cases: Cases, parts: Bool[np.ndarray, "m n"]) -> int:
    return int(np.argmax(np.nan_to_num([mean_iou(cases, part) for part in parts])))


def likeliest_shares(cases: Cases, estimate: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "s"]:
    """The mixture of normals about an estimate that is likeliest over the whole picture (EM)."""
    density = _densities(cases, estimate)
    weight = cases.weight / np.bincount(cases.of, cases.weight)[cases.of] / len(cases)
    shares = np.full(len(SIGMAS), 1 / len(SIGMAS))
    for _ in range(ROUNDS):
        shares = shares * ((weight / (density @ shares)) @ density)
    return shares / shares.sum()


def _densities(cases: Cases, estimate: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n s"]:
    """Of each width's normal about the estimate, at the true flow with noise."""
    squares = ((cases.noisy_flow.astype(float) - estimate) ** 2).sum(-1)[:, None]
    densities = np.exp(-squares / (2 * SIGMAS**2)) / (2 * np.pi * SIGMAS**2)
    return np.maximum(densities, 1e-300)
