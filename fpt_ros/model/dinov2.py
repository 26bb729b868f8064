# SPDX-License-Identifier: Apache-2.0
"""DINOv2's vision transformer (Oquab et al., 2023), as the released model uses it.

Built directly, with the names of the published weights, so that nothing is downloaded only to be
overwritten by a checkpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from fpt_ros.model.attention import attend

if TYPE_CHECKING:
    from jaxtyping import Float

PATCH = 14
TABLE_GRID = 37  # the position table is that of DINOv2's 518-pixel pretraining
REGISTERS = 4

_CHANNELS_HEADS_DEPTH = {
    "s": (384, 6, 12),
    "b": (768, 12, 12),
    "l": (1024, 16, 24),
    "g": (1536, 24, 40),
}
GIANT = 1536
DINOV2_SIZES = {
    f"dinov2_vit{size}14{suffix}": sizes
    for size, sizes in _CHANNELS_HEADS_DEPTH.items()
    for suffix in ("", "_reg")
}

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class DinoV2Encoder(nn.Module):
    """A DINOv2 backbone that gives the patch tokens after the last norm, as a map.

    Args:
        name: one of `DINOV2_SIZES`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str) -> None:
        super().__init__()
        self.channels, heads, depth = DINOV2_SIZES[name]
        for name_, values in ("mean", IMAGENET_MEAN), ("std", IMAGENET_STD):
            self.register_buffer(name_, torch.tensor(values).view(3, 1, 1), persistent=False)
        self.patch_embed = PatchEmbed(self.channels)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, self.channels))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + TABLE_GRID**2, self.channels))
        self.register_tokens = None
        if name.endswith("_reg"):
            self.register_tokens = nn.Parameter(torch.zeros(1, REGISTERS, self.channels))
        self.mask_token = nn.Parameter(torch.zeros(1, self.channels))  # in the weights; not used
        self.blocks = nn.ModuleList(Block(self.channels, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(self.channels, eps=1e-6)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, images: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b d gh gw"]:
        """Square images in [-1, 1], a multiple of 14 pixels wide, to their feature map."""
        patches = self.patch_embed(((images + 1) / 2 - self.mean) / self.std)
        grid = patches.shape[-1]
        tokens = rearrange(patches, "b d h w -> b (h w) d")
        batch = len(tokens)
        tokens = torch.cat([self.cls_token.expand(batch, -1, -1), tokens], 1)
        tokens = tokens + self._positions(grid).to(tokens.dtype)
        extra = 1
        if self.register_tokens is not None:
            registers = self.register_tokens.expand(batch, -1, -1)
            tokens = torch.cat([tokens[:, :1], registers, tokens[:, 1:]], 1)
            extra += REGISTERS
        for block in self.blocks:
            tokens = block(tokens)
        return rearrange(self.norm(tokens)[:, extra:], "b (h w) d -> b d h w", h=grid)

    @torch.no_grad()
    def fix_positions(self, size: int) -> None:
        """Resize the position table for good, for images of `size` pixels a side. An exported model
        wants that: other runtimes resize in other ways."""
        self.pos_embed = nn.Parameter(self._positions(size // PATCH))

    def _positions(self, grid: int) -> Float[Tensor, "1 n d"]:
        """The position table for a `grid` x `grid` map, resized as DINOv2 itself does it."""
        if self.pos_embed.shape[1] == 1 + grid**2:
            return self.pos_embed
        table = rearrange(
            self.pos_embed[:, 1:].float(), "1 (h w) d -> 1 d h w", h=TABLE_GRID, w=TABLE_GRID
        )
        if self.register_tokens is not None:
            table = F.interpolate(table, size=(grid, grid), mode="bicubic", antialias=True)
        else:
            # The models without registers were trained with a scale factor, nudged by 0.1 against
            # rounding, in place of a size: the sampling positions differ slightly.
            factor = (grid + 0.1) / TABLE_GRID
            table = F.interpolate(table, scale_factor=(factor, factor), mode="bicubic")
        patches = rearrange(table, "1 d h w -> 1 (h w) d")
        return torch.cat([self.pos_embed[:, :1].float(), patches], 1)


class PatchEmbed(nn.Module):
    """Non-overlapping 14 x 14 patches, each projected to a token."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, PATCH, PATCH)

    def forward(self, images: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b d gh gw"]:
        return self.proj(images)


class Block(nn.Module):
    """Pre-norm attention and MLP, each scaled per channel (LayerScale)."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=1e-6)
        self.attn = Attention(channels, heads)
        self.ls1 = LayerScale(channels)
        self.norm2 = nn.LayerNorm(channels, eps=1e-6)
        self.mlp = SwiGluMlp(channels) if channels == GIANT else Mlp(channels)
        self.ls2 = LayerScale(channels)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class Attention(nn.Module):
    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        q, k, v = rearrange(self.qkv(x), "b n (three h c) -> three b h n c", three=3, h=self.heads)
        attended = attend(q, k, v, q.shape[-1] ** -0.5)
        return self.proj(rearrange(attended, "b h n c -> b n (h c)"))


class Mlp(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, 4 * channels)
        self.fc2 = nn.Linear(4 * channels, channels)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        return self.fc2(F.gelu(self.fc1(x)))


class SwiGluMlp(nn.Module):
    """The gated MLP of the giant model, of two thirds the width for as many weights."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = (4 * channels * 2 // 3 + 7) // 8 * 8
        self.w12 = nn.Linear(channels, 2 * hidden)
        self.w3 = nn.Linear(hidden, channels)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        gates, values = self.w12(x).chunk(2, -1)
        return self.w3(F.silu(gates) * values)


class LayerScale(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((channels,), 1e-5))

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        return x * self.gamma
