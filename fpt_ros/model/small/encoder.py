# SPDX-License-Identifier: Apache-2.0
"""The small encoder: an EfficientNet-Lite0 trunk whose stages are joined into one map at stride 8.

The trunk is that of EfficientNet (arXiv 1905.11946) in its "Lite0" variant: inverted bottlenecks
with ReLU6 and no squeeze-and-excitation. Batch normalisation is folded into the convolutions, so
the network is plain convolutions with biases, in training as on a robot.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from fpt_ros.model.attention import attend

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from fpt_ros.model.small.config import SmallModelConfig

# A row for each stage: blocks, kernel, stride of the first block, expansion, channels.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM_CHANNELS = 32
# The last stage at each of the strides 4, 8, 16 and 32, and its channels.
PYRAMID_STAGES = (1, 2, 4, 6)
PYRAMID_CHANNELS = tuple(STAGES[stage][-1] for stage in PYRAMID_STAGES)


class Conv2d(nn.Conv2d):
    """`nn.Conv2d` (with zero padding), and after it, if wanted, ReLU6."""

    def forward(
        self, x: Float[Tensor, "b c h w"], relu6: bool = False
    ) -> Float[Tensor, "b d h2 w2"]:
        mixed = x.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        y = self._in_autocast(x) if mixed else super().forward(x)
        return F.relu6(y) if relu6 else y

    def _in_autocast(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        """On a CPU, bfloat16 pays in matrix products alone; a convolution of 1 x 1 is one."""
        if self.kernel_size == (1, 1) and self.stride == (1, 1) and self.groups == 1:
            return F.linear(x.movedim(1, -1), self.weight.flatten(1), self.bias).movedim(-1, 1)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.to(self.weight.dtype))


class SameConv2d(Conv2d):
    """Convolution with TensorFlow's "SAME" padding for inputs whose sides the stride divides.

    With a stride of 2 that padding is one larger at the right and bottom, which the pretrained
    weights expect and which ``nn.Conv2d`` alone cannot do.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1):
        total = kernel - stride
        lead = total // 2
        symmetric = total == 2 * lead
        super().__init__(inputs, outputs, kernel, stride, lead if symmetric else 0, groups=groups)
        self.extra = () if symmetric else (lead, total - lead, lead, total - lead)

    def forward(
        self, x: Float[Tensor, "b c h w"], relu6: bool = False
    ) -> Float[Tensor, "b d h2 w2"]:
        return super().forward(F.pad(x, self.extra) if self.extra else x, relu6)


class InvertedBottleneck(nn.Module):
    """Expand, convolve each channel by itself, project back; a skip where the shape is kept."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        inner = inputs * expansion
        self.expand = SameConv2d(inputs, inner, 1) if expansion > 1 else None
        self.depthwise = SameConv2d(inner, inner, kernel, stride, groups=inner)
        self.project = SameConv2d(inner, outputs, 1)
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        y = x if self.expand is None else self.expand(x, relu6=True)
        y = self.project(self.depthwise(y, relu6=True))
        return x + y if self.skip else y


class EfficientNetLite0Trunk(nn.Module):
    """EfficientNet-Lite0 without its classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv2d(3, STEM_CHANNELS, 3, stride=2)
        self.stages = nn.ModuleList()
        inputs = STEM_CHANNELS
        for blocks, kernel, stride, expansion, outputs in STAGES:
            stage = nn.Sequential()
            for index in range(blocks):
                first = index == 0
                stage.append(
                    InvertedBottleneck(inputs, outputs, kernel, stride if first else 1, expansion)
                )
                inputs = outputs
            self.stages.append(stage)

    def forward(self, images: Float[Tensor, "b 3 s s"]) -> list[Float[Tensor, "b c h w"]]:
        """Features at strides 4, 8, 16 and 32 for images in [-1, 1], sides a multiple of 32."""
        x = self.stem(images, relu6=True)
        pyramid = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in PYRAMID_STAGES:
                pyramid.append(x)
        return pyramid


class TopDownJoin(nn.Module):
    """Joins the pyramid into one map at stride 8: coarse levels upsampled, the finest halved."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(Conv2d(c, channels, 1) for c in PYRAMID_CHANNELS[1:])
        # Space-to-depth: the four stride-4 cells of a stride-8 cell side by side, nothing lost.
        self.finest = Conv2d(PYRAMID_CHANNELS[0], channels, 2, stride=2)
        self.depthwise = Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.pointwise = Conv2d(channels, channels, 1)

    def forward(self, pyramid: list[Float[Tensor, "b c h w"]]) -> Float[Tensor, "b d gh gw"]:
        finest, middle, *coarse = pyramid
        lateral, *coarse_laterals = self.laterals
        x = coarse_laterals[-1](coarse[-1])
        for conv, level in zip(coarse_laterals[-2::-1], coarse[-2::-1], strict=True):
            x = conv(level) + F.interpolate(x, scale_factor=2.0, mode="bilinear")
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear")
        x = x + lateral(middle) + self.finest(finest)
        return x + self.pointwise(F.gelu(self.depthwise(x)))


class AttentionBlock(nn.Module):
    """One pre-norm transformer block over all cells: far parts of a thing find each other.

    Squares of `pooling` by `pooling` cells are looked up as one.
    """

    def __init__(self, channels: int, heads: int, pooling: int, norm_eps: float) -> None:
        super().__init__()
        self.heads, self.pooling = heads, pooling
        self.attention_norm = nn.LayerNorm(channels, norm_eps)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.mlp_norm = nn.LayerNorm(channels, norm_eps)
        self.mlp_up = nn.Linear(channels, 3 * channels)
        self.mlp_down = nn.Linear(3 * channels, channels)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        query, key, value = self.qkv(self.attention_norm(x)).chunk(3, -1)
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (query, _pool(key, self.pooling), _pool(value, self.pooling))
        )
        attended = attend(query, key, value, query.shape[-1] ** -0.5)
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        return x + self.mlp_down(F.gelu(self.mlp_up(self.mlp_norm(x))))


def _pool(x: Float[Tensor, "b n d"], square: int) -> Float[Tensor, "b m d"]:
    """Means of squares of a square map's cells, that many along a side."""
    side = math.isqrt(x.shape[1]) // square
    return x.unflatten(1, (side, square, side, square)).mean((2, 4)).flatten(1, 2)


class EfficientNetLite0Encoder(nn.Module):
    """Square images to one feature map at stride 8, ``[b, channels, image_size / 8, ...]``.

    The first ``config.pair_channels`` channels are the pair embedding: two points of one rigid
    body have embeddings close to each other (see ``fpt_ros.training.pair_loss``). Poke and query
    tokens sample the whole map at their point, so that "the same thing as the poke" is within
    reach.
    """

    stride = 8

    def __init__(self, config: SmallModelConfig) -> None:
        super().__init__()
        d = config.feature_channels
        self.pair_channels = config.pair_channels
        self.channels = config.pair_channels + d
        self.trunk = EfficientNetLite0Trunk()
        self.join = TopDownJoin(d)
        self.cells = (config.image_size // self.stride) ** 2
        self.position = nn.Parameter(torch.randn(1, self.cells, d) * 0.02)
        block = (d, config.encoder_heads, config.pooling, config.encoder_norm_eps)
        self.attention = AttentionBlock(*block)
        # What hangs together is known by now; this sees how far it reaches, and what it turns on.
        self.gathering = AttentionBlock(*block)
        self.norm = nn.LayerNorm(d, config.encoder_norm_eps)
        self.pair = nn.Linear(d, self.pair_channels)

    def forward(self, images: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b d gh gw"]:
        """Feature map of square images in [-1, 1].

        The trunk was trained on that very range, so nothing is normalised here.
        """
        joined = self.join(self.trunk(images))
        tokens = joined.flatten(2).transpose(1, 2) + self.position
        features = self.norm(self.gathering(self.attention(tokens)))
        mapped = torch.cat([self.pair(features), features], dim=-1)
        return mapped.transpose(1, 2).unflatten(2, joined.shape[-2:])
