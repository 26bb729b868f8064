# SPDX-License-Identifier: Apache-2.0
"""The transformer over pokes and query points, conditioned on an image (paper, section 3.2)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpt_ros.model.attention import KeysValues, attend_to_image
from fpt_ros.model.config import HEAD_WIDTH

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float

    SelfAttention = Callable[[int, Tensor, Tensor, Tensor], Tensor]
    """From a layer's index and its tokens' q, k and v [b, h, l, c] to what they attend to."""

FFN_EXPANSION = 3


class Rotation(NamedTuple):
    """Cosines and sines of the rotary angles of some positions, for each channel."""

    cos: Float[Tensor, "b n 1 h c"]
    sin: Float[Tensor, "b n 1 h c"]

    def __call__(self, x: Float[Tensor, "b n p h c"]) -> Float[Tensor, "b n p h c"]:
        """Rotate each pair (channel i, channel i + c/2)."""
        return torch.addcmul(x * self.cos, x.roll(HEAD_WIDTH // 2, -1), self.sin)


class RotaryEmbedding(nn.Module):
    """Angles that grow with a point's position, at fixed frequencies for each head."""

    freqs: Tensor

    def __init__(self, heads: int) -> None:
        super().__init__()
        per_head = HEAD_WIDTH // 4
        scale = torch.linspace(math.log(math.pi), math.log(10 * math.pi), heads * per_head + 1)
        freqs = scale[:-1].exp().view(per_head, heads).T
        self.register_buffer("freqs", freqs.expand(2, -1, -1).clone())

    def forward(self, pos: Float[Tensor, "b n 2"]) -> Rotation:
        """Positions in the unit square to rotations; the y angles come first."""
        x, y = (pos.float() * 2 - 1)[:, :, None, None, :, None].unbind(-2)
        angles = torch.cat([y * self.freqs[1], x * self.freqs[0]], -1)
        cos, sin = angles.cos(), angles.sin()
        return Rotation(torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1))

    def _apply(self, fn, recurse=True):  # type: ignore[no-untyped-def]
        """Move between devices, but keep float32: in half precision the angles would be wrong."""
        freqs = self.freqs
        super()._apply(fn, recurse)
        self.freqs = freqs.to(self.freqs.device, torch.float32)
        return self


class AdaRMSNorm(nn.Module):
    """RMS normalisation whose gain depends on the condition (camera static or not)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.linear.weight)

    def gain(self, condition: Float[Tensor, "c w"]) -> Float[Tensor, "c w"]:
        return 1 + self.linear(condition)


def ada_rms_norm(x: Float[Tensor, "b n w"], gain: Float[Tensor, "#b 1 w"]) -> Tensor:
    return F.rms_norm(x, x.shape[-1:], eps=1e-6) * gain


class Layer(nn.Module):
    """Self-attention, cross-attention to the image, and a gated MLP."""

    def __init__(self, width: int, image_width: int) -> None:
        super().__init__()
        heads, hidden = width // HEAD_WIDTH, FFN_EXPANSION * width
        self.self_norm = AdaRMSNorm(width)
        self.self_qkv = nn.Linear(width, 3 * width, bias=False)
        self.self_scale = nn.Parameter(torch.full((heads,), 10.0))
        self.self_out = nn.Linear(width, width, bias=False)
        self.cross_norm = AdaRMSNorm(width)
        self.cross_q = nn.Linear(width, width, bias=False)
        self.cross_kv = nn.Linear(image_width, 2 * width, bias=False)
        self.cross_scale = nn.Parameter(torch.full((heads,), 10.0))
        # In the released weights, but never applied: the model was trained without it.
        self.cross_out = nn.Linear(width, width, bias=False)
        self.ffn_norm = AdaRMSNorm(width)
        self.ffn_up = nn.Linear(width, 2 * hidden, bias=False)
        self.ffn_down = nn.Linear(hidden, width, bias=False)
        for last in (self.self_out, self.cross_out, self.ffn_down):
            nn.init.zeros_(last.weight)

    def gains(self, condition: Float[Tensor, "c w"]) -> Float[Tensor, "3 c w"]:
        """The three norms' gains under each condition."""
        norms = (self.self_norm, self.cross_norm, self.ffn_norm)
        return torch.stack([norm.gain(condition) for norm in norms])

    def image_keys_values(self, tokens: Float[Tensor, "b n d"], rotation: Rotation) -> KeysValues:
        """The image's side of the cross-attention, laid out as it is read."""
        keys, values = split_heads(self.cross_kv(tokens), 2).split(1, 2)
        keys = normalise(keys, self.cross_scale, rotation)
        return KeysValues(*(part[:, :, 0].transpose(1, 2).contiguous() for part in (keys, values)))

    def forward(
        self,
        x: Float[Tensor, "b l w"],
        rotation: Rotation,
        gains: Float[Tensor, "3 #b 1 w"],
        image: KeysValues,
        attend: Callable[[Tensor, Tensor, Tensor], Tensor],
    ) -> Float[Tensor, "b l w"]:
        """Tokens through the layer; `attend` is the self-attention, on q, k and v [b, h, l, c]."""
        qkv = split_heads(self.self_qkv(ada_rms_norm(x, gains[0])), 3)
        q, k = normalise(qkv[:, :, :2], self.self_scale, rotation).unbind(2)
        attended = attend(*(part.transpose(1, 2) for part in (q, k, qkv[:, :, 2])))
        x = x + self.self_out(join_heads(attended))

        q = split_heads(self.cross_q(ada_rms_norm(x, gains[1])), 1)
        q = normalise(q, self.cross_scale, rotation)[:, :, 0]
        x = x + join_heads(attend_to_image(q.transpose(1, 2), image))

        values, gates = self.ffn_up(ada_rms_norm(x, gains[2])).chunk(2, -1)
        return x + self.ffn_down(values * F.silu(gates))


class Transformer(nn.Module):
    """The stack of layers, with one rotary embedding for all."""

    def __init__(self, width: int, depth: int, image_width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(width, image_width) for _ in range(depth))
        self.pos_emb = RotaryEmbedding(width // HEAD_WIDTH)

    def image_keys_values(
        self, tokens: Float[Tensor, "b n d"], pos: Float[Tensor, "b n 2"]
    ) -> tuple[KeysValues, ...]:
        """Each layer's keys and values of the image: all that the layers need of it."""
        rotation = self.pos_emb(pos)
        layers = cast("list[Layer]", list(self.layers))
        return tuple(layer.image_keys_values(tokens, rotation) for layer in layers)

    def gains(self, conditions: Float[Tensor, "c w"]) -> Float[Tensor, "depth 3 c w"]:
        """Every norm's gain under each condition."""
        layers = cast("list[Layer]", list(self.layers))
        return torch.stack([layer.gains(conditions) for layer in layers])

    def forward(
        self,
        x: Float[Tensor, "b l w"],
        pos: Float[Tensor, "b l 2"],
        gains: Float[Tensor, "depth 3 #b 1 w"],
        image: tuple[KeysValues, ...],
        attend: SelfAttention,
    ) -> Float[Tensor, "b l w"]:
        """Tokens at positions in the unit square through all layers."""
        rotation = self.pos_emb(pos)
        for i, layer in enumerate(self.layers):
            x = layer(x, rotation, gains[i], image[i], lambda q, k, v, i=i: attend(i, q, k, v))
        return x


def split_heads(x: Float[Tensor, "b n pw"], parts: int) -> Float[Tensor, "b n p h c"]:
    return x.unflatten(-1, (parts, -1, HEAD_WIDTH))


def join_heads(x: Float[Tensor, "b h n c"]) -> Float[Tensor, "b n hc"]:
    return x.transpose(1, 2).flatten(2)


def normalise(
    x: Float[Tensor, "b n p h c"], scale: Float[Tensor, "h"], rotation: Rotation
) -> Float[Tensor, "b n p h c"]:
    """Queries or keys to length sqrt(|scale|) (in float32), rotated."""
    v = x.float()
    squared = v.square().sum(-1, keepdim=True)
    wanted = scale.float().abs()[:, None] + 1e-6
    return rotation(v * (wanted / (squared + 1e-6)).sqrt()).to(x.dtype)
