# SPDX-License-Identifier: Apache-2.0
"""What moves along with a poke: the points whose distribution the poke changes (paper, section on
moving part segmentation), if they are likely to move."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fpt_ros.inference.moving import MOVING

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor

    from fpt_ros.model import MotionMixture

LIKELY = 0.5
"""A point with a lower probability of moving is not part of what moves: a poke also makes it surer
that other things stay, and that is a divergence, too."""


def divergence(poked: MotionMixture, unpoked: MotionMixture) -> Float[Tensor, "*points"]:
    """Kullback-Leibler divergence of the poked from the unpoked distribution, nats, from 0.

    By quadrature, so that the same point is always on the same side of a threshold.
    """
    return poked.kl_divergence(unpoked).clamp_min(0)


def moving_probability(poked: MotionMixture, side: float) -> Float[Tensor, "*points"]:
    """Probability of a motion that training would call one; `side` is the view's, in the mixture's
    unit."""
    return 1 - poked.probability_within(poked.locs.new_zeros(2), MOVING * side)


def moving_part(
    divergence: Float[Tensor, "*points"], probability: Float[Tensor, "*points"], threshold: float
) -> Bool[Tensor, "*points"]:
    """Whether each point belongs to the moving part; `threshold` in nats."""
    return (divergence > threshold) & (probability > LIKELY)
