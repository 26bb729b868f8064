# SPDX-License-Identifier: Apache-2.0
"""Split conformal prediction: by what to widen mixtures so that their 90 % regions hold 90 %.

Of each true motion, the score is the least factor of the spread with which it lies in the smallest
region that holds 90 % of the mixture. The factor is the scores' quantile of rank
ceil((n + 1) 0.9), so that a new motion, exchangeable with these, lies in its region with a
probability of at least 90 % (Vovk et al., Algorithmic Learning in a Random World, 2005).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from fpt_ros.eval.predictions import ask, denser_share, embed
from fpt_ros.inference.calibration import LEAST, MOST

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from fpt_ros.eval.cases import Cases
    from fpt_ros.model import FlowPokeTransformer, MotionMixture

HOLDS = 0.9
FACTORS = np.geomspace(LEAST, MOST, 41)
"""Among these the score is found."""
AT_ONCE = 8


@torch.no_grad()
def scores(model: FlowPokeTransformer, cases: Cases) -> Float[np.ndarray, " n"]:
    """Of each point the least of FACTORS with which its motion lies in the 90 % region; infinite
    where that is none."""
    found = []
    for first in range(0, len(cases), AT_ONCE):
        some = type(cases)(cases.each[first : first + AT_ONCE])
        mixture = ask(model, some, 1, embed(model, [case.image for case in some.each]))
        found.append(_scores(mixture, some.flow))
    return np.concatenate(found)


def _scores(mixture: MotionMixture, flow: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " n"]:
    """By bisection: the wider a mixture, the more its region holds."""
    truth = torch.from_numpy(flow).to(mixture.locs)
    factors = torch.from_numpy(FACTORS).to(mixture.locs)
    low = torch.full((len(flow),), -1, device=truth.device)  # the last that is known to miss it
    high = torch.full_like(low, len(FACTORS))  # the first that is known to hold it
    while (high - low > 1).any():
        middle = ((low + high) // 2).clamp(0, len(FACTORS) - 1)
        wider = mixture.widened(factors[middle, None, None, None])
        generator = torch.Generator().manual_seed(0)
        holds = denser_share(wider, wider.log_prob(truth), generator) <= HOLDS
        high, low = torch.where(holds, middle, high), torch.where(holds, low, middle)
    return np.append(FACTORS, np.inf)[high.cpu().numpy()]


def fitted_spread(of: Float[np.ndarray, " n"], moving: Bool[np.ndarray, " n"]) -> float:
    """The factor with which the regions hold 90 % of what moves, and of what stays as well.

    Infinite where none of FACTORS does it.
    """
    parts = [part for part in (of[moving], of[~moving]) if len(part)]
    return max(map(_conformal_quantile, parts))


def _conformal_quantile(of: Float[np.ndarray, " n"]) -> float:
    rank = int(np.ceil((len(of) + 1) * HOLDS))
    return float(np.sort(of)[rank - 1]) if rank <= len(of) else float("inf")


def held(
    of: Float[np.ndarray, " n"], moving: Bool[np.ndarray, " n"], spread: float
) -> dict[str, float]:
    """Share of motions within the 90 % regions of mixtures that are widened by `spread`."""
    inside = of <= spread * 1.0001
    groups = {"moving": inside[moving], "still": inside[~moving], "all": inside}
    return {
        name: float(part.mean()) if len(part) else float("nan") for name, part in groups.items()
    }
