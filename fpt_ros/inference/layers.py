# SPDX-License-Identifier: Apache-2.0
"""The transformer's layers as a CPU runs them fastest: the same function in fewer operations.

What few tokens cost is operations, what many cost is passes over memory. So constants are folded
into what is computed once, and each head's channels are laid out anew: the pair that a rotary angle
turns lies side by side, as the two parts of a complex number, and turning is one product.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from fpt_ros.inference.packed import PackedGatedLinear, PackedLinear
from fpt_ros.model.attention import KeysValues, attend_to_image
from fpt_ros.model.config import HEAD_WIDTH
from fpt_ros.model.transformer import Layer, RotaryEmbedding, split_heads

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Complex, Float


EPSILON = 1e-6


class ComplexRotation(nn.Module):
    """`RotaryEmbedding`, its angles as complex numbers of length 1."""

    freqs: Tensor

    def __init__(self, embedding: RotaryEmbedding) -> None:
        super().__init__()
        self.register_buffer("freqs", embedding.freqs)

    def forward(self, pos: Float[Tensor, "b n 2"]) -> Complex[Tensor, "b n 1 h c2"]:
        x, y = (pos.float() * 2 - 1)[:, :, None, None, :, None].unbind(-2)
        angles = torch.cat([y * self.freqs[1], x * self.freqs[0]], -1)
        return torch.view_as_complex(torch.stack([angles.cos(), angles.sin()], -1))


class InferenceLayer(nn.Module):
    """`Layer` with packed weights; it takes a `ComplexRotation`'s angles."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        norms = layer.self_norm, layer.cross_norm, layer.ffn_norm
        self.norms = nn.ModuleList(PackedLinear(norm.linear) for norm in norms)
        self.self_qkv = PackedLinear(_paired(layer.self_qkv, parts=3, turned=2))
        self.self_out = PackedLinear(layer.self_out)
        self.cross_q = PackedLinear(_paired(layer.cross_q, parts=1, turned=1))
        self.cross_kv = PackedLinear(_paired(layer.cross_kv, parts=2, turned=1))
        self.ffn_up = PackedGatedLinear(layer.ffn_up)
        self.ffn_down = PackedLinear(layer.ffn_down)
        self.self_length = _length(layer.self_scale)
        self.cross_length = _length(layer.cross_scale)
        self.norm_epsilon = torch.tensor(EPSILON * layer.self_out.in_features).sqrt()
        self.epsilon = torch.tensor(EPSILON).sqrt()

    def gains(self, condition: Float[Tensor, "c w"]) -> Float[Tensor, "3 c w"]:
        """The norms' gains, for vectors that are brought to length 1 and not to mean square 1."""
        gains = torch.stack([1 + linear(condition) for linear in self.norms])
        return gains * math.sqrt(condition.shape[-1])

    def image_keys_values(
        self, tokens: Float[Tensor, "b n d"], rotation: Complex[Tensor, "b n 1 h c2"]
    ) -> KeysValues:
        """As `Layer.image_keys_values`."""
        keys, values = split_heads(self.cross_kv(tokens), 2).split(1, 2)
        keys = self._turned(keys, self.cross_length, rotation)
        return KeysValues(*(part[:, :, 0].transpose(1, 2).contiguous() for part in (keys, values)))

    def forward(
        self,
        x: Float[Tensor, "b l w"],
        rotation: Complex[Tensor, "b l 1 h c2"],
        gains: Float[Tensor, "3 #b 1 w"],
        image: KeysValues,
        attend: Callable[[Tensor, Tensor, Tensor], Tensor],
    ) -> Float[Tensor, "b l w"]:
        """As `Layer.forward`."""
        rows, length, width = x.shape
        self_gain, cross_gain, ffn_gain = gains.unbind(0)
        qkv = self.self_qkv(rms_normed(x, self_gain, self.norm_epsilon)).view(
            rows, length, 3, -1, HEAD_WIDTH
        )
        qk, v = qkv.split_with_sizes([2, 1], 2)
        q, k = self._turned(qk, self.self_length, rotation).transpose(1, 3).unbind(2)
        attended = attend(q, k, v.transpose(1, 3)[:, :, 0])
        x = self.self_out.plus(x, attended.transpose(1, 2).reshape(rows, length, width))

        q = self.cross_q(rms_normed(x, cross_gain, self.norm_epsilon)).view(
            rows, length, 1, -1, HEAD_WIDTH
        )
        q = self._turned(q, self.cross_length, rotation).transpose(1, 3)[:, :, 0]
        x = x + attend_to_image(q, image).transpose(1, 2).reshape(rows, length, width)

        normed = rms_normed(x, ffn_gain, self.norm_epsilon)
        return self.ffn_down.plus(x, self.ffn_up(normed))

    def _turned(
        self, x: Float[Tensor, "b n p h c"], length: Float[Tensor, "h 1"], rotation: Tensor
    ) -> Float[Tensor, "b n p h c"]:
        """Queries or keys brought to their head's length, and turned by their position's angles."""
        norm = torch.linalg.vector_norm(x, 2, -1, True, dtype=torch.float32)
        v = x * (length / torch.hypot(norm, self.epsilon))
        pairs = torch.view_as_complex(v.view(*v.shape[:-1], HEAD_WIDTH // 2, 2))
        return torch.view_as_real(pairs * rotation).view(v.shape).to(x.dtype)


class InferenceRMSNorm(nn.Module):
    """`nn.RMSNorm` over the last dimension."""

    def __init__(self, norm: nn.RMSNorm) -> None:
        super().__init__()
        weight, epsilon = norm.weight.detach(), norm.eps
        epsilon = torch.finfo(weight.dtype).eps if epsilon is None else epsilon
        self.gain = weight * math.sqrt(len(weight))
        self.epsilon = torch.tensor(epsilon * len(weight)).sqrt()

    def forward(self, x: Float[Tensor, "*n w"]) -> Float[Tensor, "*n w"]:
        return rms_normed(x, self.gain, self.epsilon)


def rms_normed(
    x: Float[Tensor, "*n w"], gain: Float[Tensor, "*#n w"], epsilon: Float[Tensor, ""]
) -> Float[Tensor, "*n w"]:
    """RMS normalisation; the gain holds the square root of the width, so does epsilon."""
    norm = torch.linalg.vector_norm(x, 2, -1, True, dtype=torch.float32)
    return (x / torch.hypot(norm, epsilon)).to(x.dtype) * gain


def _length(scale: Float[Tensor, "h"]) -> Float[Tensor, "h 1"]:
    """What queries and keys are normalised to."""
    return (scale.detach().float().abs() + EPSILON).sqrt()[:, None]


def _paired(layer: nn.Linear, parts: int, turned: int) -> nn.Linear:
    """The layer, in its first `turned` parts each head's outputs in the order 0, 32, 1, 33, ...

    Those are queries and keys, whose products do not depend on the order.
    """
    weight = layer.weight.detach().unflatten(0, (parts, -1, 2, HEAD_WIDTH // 2)).clone()
    ordered = weight[:turned].transpose(2, 3).flatten(0, 3)
    others = weight[turned:].flatten(0, 3)
    return _linear(torch.cat([ordered, others]))


def _linear(weight: Float[Tensor, "out in"]) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    layer.weight = nn.Parameter(weight, requires_grad=False)
    return layer
