"""From pokes and query points to the transformer's tokens."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from fpt_ros.model.packing import Linear

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
            Linear(2 * width + image_width, width, bias=False),
            ResidualBlock(width),
            ResidualBlock(width),
        )

    def forward(
        self,
        poke_flow: Float[Tensor, "b p 2"],
        features: Float[Tensor, "b l d"],
    ) -> Float[Tensor, "b l w"]:
        """Tokens of the pokes and of the queries after them.

        Args:
            poke_flow: the pokes' displacements, in the model's units.
            features: the image's features at the pokes and the queries.
        """
        dtype = self.query_token.dtype
        queries = features.shape[1] - poke_flow.shape[1]
        motion = torch.cat(
            [
                self._motion_features(poke_flow).to(dtype),
                self.query_token.expand(len(features), queries, -1),
            ],
            1,
        )
        return self.mlp(torch.cat([motion, features.to(dtype)], -1))

    def _motion_features(self, flow: Float[Tensor, "b p 2"]) -> Float[Tensor, "b p w2"]:
        """Harmonics of the squashed displacement; sines before cosines, x before y."""
        squashed = ((flow.float() * 0.5).tanh() + 1) / 2
        angles = squashed[..., None] * self.coeffs
        return rearrange(torch.cat([angles.sin(), angles.cos()], -1), "b p d f -> b p (d f)")

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
            Linear(width, width, bias=False),
            nn.SiLU(),
            Linear(width, width, bias=False),
        )

    def forward(self, x: Float[Tensor, "b l w"]) -> Float[Tensor, "b l w"]:
        return x + super().forward(x)


def sample_features(
    features: Float[Tensor, "i d gh gw"], pos: Float[Tensor, "b l 2"]
) -> Float[Tensor, "b l d"]:
    """The feature map at points of the unit square, bilinearly; outside it, the border's.

    `b` may be a multiple of the number of images: consecutive rows then share an image.
    """
    images = len(features)
    grid = rearrange(pos.float() * 2 - 1, "(i m) l xy -> i m l xy", i=images)
    sampled = F.grid_sample(features, grid, padding_mode="border", align_corners=True)
    return rearrange(sampled, "i d m l -> (i m) l d")
