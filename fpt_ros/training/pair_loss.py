# SPDX-License-Identifier: Apache-2.0
"""The pair loss: do two points of a picture lie on the same rigid body?

It needs no motion and learns within minutes, which is why training starts with it: a model that
knows what hangs together has most of what a poke asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor


def sample_map(
    features: Float[Tensor, "b d gh gw"], points: Float[Tensor, "b n 2"]
) -> Float[Tensor, "b n d"]:
    """The map at points in [0, 1]^2, sampled as the model's tokens sample it."""
    grid = (points * 2 - 1)[:, :, None]
    sampled = F.grid_sample(
        features, grid, mode="bilinear", padding_mode="border", align_corners=True
    )
    return sampled[..., 0].transpose(1, 2)


class PairLoss(nn.Module):
    """Cross-entropy of "same body" with logits ``bias - |e_i - e_j|^2 - slope * distance``."""

    def __init__(self, pair_channels: int) -> None:
        super().__init__()
        self.pair_channels = pair_channels
        self.bias = nn.Parameter(torch.tensor(2.0))
        self.slope = nn.Parameter(torch.tensor(3.0))

    def logits(
        self, features: Float[Tensor, "b d gh gw"], points: Float[Tensor, "b n 2"]
    ) -> Float[Tensor, "b n n"]:
        """Log odds that the points i and j are on one body."""
        embeddings = sample_map(features[:, : self.pair_channels], points)
        squares = embeddings.square().sum(-1)
        dots = embeddings @ embeddings.transpose(1, 2)
        apart = squares[:, :, None] + squares[:, None] - 2 * dots
        distance = (points[:, :, None] - points[:, None]).square().sum(-1).add(1e-8).sqrt()
        return self.bias - apart - self.slope * distance

    def forward(
        self,
        features: Float[Tensor, "b d gh gw"],
        points: Float[Tensor, "b n 2"],
        bodies: Int[Tensor, "b n"],
    ) -> Float[Tensor, ""]:
        """Mean over all pairs of different points of a picture; 0 for a picture whose bodies are
        unknown (-1)."""
        same = (bodies[:, :, None] == bodies[:, None]).to(features.dtype)
        losses = F.binary_cross_entropy_with_logits(
            self.logits(features, points), same, reduction="none"
        )
        others = 1 - torch.eye(points.shape[1], device=points.device)
        known = (bodies[:, :1, None] >= 0).to(losses.dtype)
        return (losses * others * known).sum() / (others.sum() * len(points))
