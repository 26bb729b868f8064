# SPDX-License-Identifier: Apache-2.0
"""Fits motions to where points are seen afterwards: Levenberg and Marquardt's way, many at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

    from fpt_ros.geometry.evidence import Evidence
    from fpt_ros.geometry.motions import Motion

CAUCHY = 2.0
"""Standard deviations beyond which a robust residual counts less and less."""
COARSE, FINE = 6, 12
"""Steps with blurred evidence, then with the evidence as it is."""
BLUR = 10.0
"""Pixels."""
DAMPING, EASIER, HARDER = 1e-3, 0.3, 5.0

Prior = Callable[
    ["Float[np.ndarray, 'h k']"], "tuple[Float[np.ndarray, 'h m'], Float[np.ndarray, 'h m k']]"
]
"""Residuals in standard deviations and their Jacobian."""


@dataclasses.dataclass(frozen=True)
class Fit:
    """h motions, their costs, and the curvature of the cost there."""

    parameters: Float[np.ndarray, "h k"]
    cost: Float[np.ndarray, " h"]
    """Half a sum of squares, as minus the logarithm of a likelihood."""
    hessian: Float[np.ndarray, "h k k"]

    def at(self, index: int) -> Fit:
        chosen = slice(index, index + 1)
        return Fit(self.parameters[chosen], self.cost[chosen], self.hessian[chosen])


def fit(
    motion: Motion,
    starts: Float[np.ndarray, "h k"],
    evidence: Evidence,
    prior: Prior,
    coarse: int = COARSE,
    fine: int = FINE,
) -> Fit:
    """The nearest minima, from coarse to fine."""
    parameters = starts
    if coarse:
        blurred = evidence.blurred(BLUR)
        parameters = minimise(motion, parameters, blurred, prior, coarse).parameters
    return minimise(motion, parameters, evidence, prior, fine)


def minimise(
    motion: Motion,
    parameters: Float[np.ndarray, "h k"],
    evidence: Evidence,
    prior: Prior,
    steps: int,
) -> Fit:
    """Damped Gauss-Newton steps, each motion with its own damping; a step that does not lessen
    the cost is not taken."""
    damping = np.full(len(parameters), DAMPING)
    cost = costs(motion, parameters, evidence, prior)
    gradient, hessian = normal_equations(motion, parameters, evidence, prior)
    for _ in range(steps):
        diagonal = np.einsum("hii->hi", hessian) + 1e-9
        damped = hessian + np.eye(motion.count) * (damping[:, None] * diagonal)[:, None]
        tried = parameters - np.linalg.solve(damped, gradient[..., None])[..., 0]
        new = costs(motion, tried, evidence, prior)
        better = new < cost
        parameters = np.where(better[:, None], tried, parameters)
        gained = (cost - np.where(better, new, cost)).max()
        cost = np.where(better, new, cost)
        damping = np.clip(np.where(better, damping * EASIER, damping * HARDER), 1e-9, 1e9)
        gradient, hessian = normal_equations(motion, parameters, evidence, prior)
        if better.all() and gained < 1e-4:
            break
    return Fit(parameters, cost, hessian)


def costs(
    motion: Motion, parameters: Float[np.ndarray, "h k"], evidence: Evidence, prior: Prior
) -> Float[np.ndarray, " h"]:
    pixels, depth = evidence.residuals(motion.moved(parameters, evidence.start))
    squares = np.stack([(pixels**2).sum(-1), depth**2], axis=-1)
    heavy = CAUCHY**2 * np.log1p(squares / CAUCHY**2)
    squares = np.where(evidence.robust[:, None], heavy, squares)
    known, _ = prior(parameters)
    return 0.5 * np.einsum("hns,n->h", squares, evidence.weight) + 0.5 * (known**2).sum(-1)


def normal_equations(
    motion: Motion, parameters: Float[np.ndarray, "h k"], evidence: Evidence, prior: Prior
) -> tuple[Float[np.ndarray, "h k"], Float[np.ndarray, "h k k"]]:
    """Gradient of the costs and their curvature as Gauss and Newton have it, with the robust
    residuals weighted by how far off they are."""
    moved = motion.moved(parameters, evidence.start)
    pixels, depth = evidence.residuals(moved)
    jacobian = evidence.slopes(moved, motion.jacobian(parameters, evidence.start))
    squares = np.stack([(pixels**2).sum(-1), depth**2], axis=-1)
    weights = np.where(evidence.robust[:, None], 1 / (1 + squares / CAUCHY**2), 1.0)
    weights = (weights * evidence.weight[:, None])[..., [0, 0, 1]]
    residual = np.concatenate([pixels, depth[..., None]], axis=-1)
    count = len(parameters)
    rows = (jacobian * np.sqrt(weights)[..., None]).reshape(count, -1, motion.count)
    values = (residual * np.sqrt(weights)).reshape(count, -1, 1)
    known, slope = prior(parameters)
    gradient = (rows.mT @ values)[..., 0] + (slope.mT @ known[..., None])[..., 0]
    return gradient, rows.mT @ rows + slope.mT @ slope
