# SPDX-License-Identifier: Apache-2.0
"""A last touch for pokes by gradients, where predictions have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch

from fpt_ros.planning.goals import MOVED

if TYPE_CHECKING:
    from jaxtyping import Float

    from fpt_ros.model import MotionMixture
    from fpt_ros.planning.goals import Goals

Predict: TypeAlias = (
    "Callable[[Float[torch.Tensor, 'p 4'], Float[np.ndarray, 'n 2']], MotionMixture]"
)
STEPS = 8


def refined(
    predict: Predict, goals: Goals, pokes: Float[np.ndarray, "p 4"]
) -> Float[np.ndarray, "p 4"]:
    """The pokes with displacements that lessen the points' expected errors; places stay.

    Quasi-Newton steps (L-BFGS: D. C. Liu, J. Nocedal, Mathematical Programming 45, 1989).

    Raises:
        ValueError: the predicted mixture has no gradient with respect to the pokes.
    """
    places = torch.from_numpy(pokes[:, :2].copy())
    shifts = torch.from_numpy(pokes[:, 2:].copy()).requires_grad_()
    wanted, scale, weights = map(torch.tensor, (goals.goals, goals.tolerances, goals.weights))
    optimiser = torch.optim.LBFGS([shifts], max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        motion = predict(torch.cat([places, shifts], 1), goals.points)
        cost = motion.expected_distance(wanted) / scale
        moved, kept = (weights * cost)[: goals.wanted], cost[goals.wanted :]
        loss = moved.mean()
        if len(kept):  # as `Goals.errors` has it
            loss = loss + (weights[goals.wanted :] * MOVED * kept**2 / (1 + kept**2)).max()
        if not loss.requires_grad:
            raise ValueError("predict gave a mixture without gradients with respect to the pokes")
        loss.backward()
        return loss

    with torch.enable_grad():
        optimiser.step(closure)
    return np.concatenate([pokes[:, :2], shifts.detach().numpy()], 1)
