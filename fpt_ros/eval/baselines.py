# SPDX-License-Identifier: Apache-2.0
"""Predictions that need no picture, which a model has to beat; and distributions round them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.eval.figures import flow_errors

if TYPE_CHECKING:
    from jaxtyping import Float

    from fpt_ros.eval.cases import Cases

SIGMAS = 0.001 * 2.0 ** np.arange(10)
"""Of the normals of which a baseline's distribution is made, in image sides: to half of one."""
ROUNDS = 200


@dataclass(frozen=True)
class Baseline:
    """An estimate of the flow, and a distribution of the same shape round each point's."""

    name: str
    fading: float
    """Distance at which the poke's flow has faded as a normal has at its standard deviation; 0:
    nothing moves, infinite: all moves like the poke."""
    shares: Float[np.ndarray, "s"]
    """Of normals of the widths `SIGMAS` about the estimate."""

    def estimate(self, cases: Cases) -> Float[np.ndarray, "n 2"]:
        return faded(cases, self.fading)

    def log_prob(self, cases: Cases) -> Float[np.ndarray, "n"]:
        """Log density at the true flow with the cases' noise, nats."""
        return np.log(_densities(cases, self.estimate(cases)) @ self.shares)


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
    """The baselines, with what has to be chosen as it suits `cases` best: the fading by error,
    the distributions by likelihood."""
    candidates = np.linspace(0.02, 0.6, 59)
    best = min(candidates, key=lambda fading: flow_errors(cases, faded(cases, fading))["mean"])
    fadings = {
        "nothing moves": 0.0,
        "all moves like the poke": np.inf,
        "poke fading with distance": float(best),
    }
    return [
        Baseline(name, fading, likeliest_shares(cases, faded(cases, fading)))
        for name, fading in fadings.items()
    ]


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
