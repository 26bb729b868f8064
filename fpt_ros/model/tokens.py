# SPDX-License-Identifier: Apache-2.0
"""From pokes and query points to the transformer's tokens."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float


class TokenEmbedding(nn.Module):
    """A point's motion, or the learned mark of a query, joined with the image at that point."""

    coeffs: Tensor

    def __init__(self, width: int, image_width: int) -> None:
        super().__init__()
        self.query_token = nn.Parameter(torch.empty(1, 1, 2 * width))
        nn.init.trunc_normal_(self.query_token)
        harmonics = torch.arange(1, width // 2 + 1, dtype=torch.float32)
        self.register_buffer("coeffs", 2 * math.pi * harmonics.view(1, 1, 1, -1))
        self.mlp = nn.Sequential(
            nn.Linear(2 * width + image_width, width, bias=False),
            ResidualBlock(width),
            ResidualBlock(width),
        )

    def forward(
        self, motion: Float[Tensor, "b l w2"], features: Float[Tensor, "b l d"]
    ) -> Float[Tensor, "b l w"]:
        """Tokens of points with these motions (see `known` and `asked`) and image features."""
        dtype = self.query_token.dtype
        return self.mlp(torch.cat([motion, features.to(dtype)], -1))

    def known(self, flow: Float[Tensor, "b p 2"]) -> Float[Tensor, "b p w2"]:
        """What stands for a poke's displacement, in the model's units: harmonics of the squashed
        displacement; sines before cosines, x before y."""
        squashed = ((flow.float() * 0.5).tanh() + 1) / 2
        angles = squashed[..., None] * self.coeffs
        harmonics = torch.cat([angles.sin(), angles.cos()], -1).flatten(2)
        return harmonics.to(self.query_token.dtype)

    def asked(self, rows: int, queries: int) -> Float[Tensor, "b q w2"]:
        """What stands in that place at a query point."""
        return self.query_token.expand(rows, queries, -1)

    def _apply(self, fn, recurse=True):  # type: ignore[no-untyped-def]
        """Move between devices, but keep the frequencies in float32: they reach 2 pi width / 2."""
        coeffs = self.coeffs
        super()._apply(fn, recurse)
        self.coeffs = coeffs.to(self.coeffs.device, torch.float32)
        return self


class ResidualBlock(nn.Sequential):
    """x + Linear(SiLU(Linear(RMSNorm(x))))."""

    def __init__(self, width: int) -> None:
        super().__init__(
            nn.RMSNorm(width),
            nn.Linear(width, width, bias=False),
            nn.SiLU(),
            nn.Linear(width, width, bias=False),
        )

    def forward(self, x: Float[Tensor, "b l w"]) -> Float[Tensor, "b l w"]:
        return x + super().forward(x)


def sample_features(
    features: Float[Tensor, "i d gh gw"], pos: Float[Tensor, "b l 2"]
) -> Float[Tensor, "b l d"]:
    """The feature map at points of the unit square, bilinearly; outside it, the border's.

    `b` may be a multiple of the number of images: consecutive rows then share an image.
    """
    grid = (pos.float() * 2 - 1).unflatten(0, (len(features), -1))
    sampled = F.grid_sample(features, grid, padding_mode="border", align_corners=True)
    return sampled.permute(0, 2, 3, 1).flatten(0, 1)
