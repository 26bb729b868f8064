"""The transformer over pokes and query points, conditioned on an image.

Pokes see themselves and earlier pokes; a query sees pokes and itself, never another query; all
see every image token. So a poke's keys and values never change, whatever is asked afterwards.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from fpt_ros.model.config import HEAD_WIDTH
from fpt_ros.model.linear import Linear

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

FFN_EXPANSION = 3


class KeysValues(NamedTuple):
    """What an attention looks up, ready to use: keys are normalised and rotated."""

    keys: Float[Tensor, "b h n c"]
    values: Float[Tensor, "b h n c"]


class Rotation(NamedTuple):
    """Cosines and sines of the rotary angles of some positions."""

    cos: Float[Tensor, "b h n c2"]
    sin: Float[Tensor, "b h n c2"]

    def __call__(self, x: Float[Tensor, "b h n c"]) -> Float[Tensor, "b h n c"]:
        """Rotate each pair (channel i, channel i + c/2)."""
        a, b = x.chunk(2, -1)
        return torch.cat([a * self.cos - b * self.sin, b * self.cos + a * self.sin], -1)


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
        x, y = (pos.float() * 2 - 1)[:, None, :, :, None].unbind(-2)
        angles = torch.cat([y * self.freqs[1, :, None], x * self.freqs[0, :, None]], -1)
        return Rotation(angles.cos(), angles.sin())

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
        self.linear = Linear(width, width, bias=False)
        nn.init.zeros_(self.linear.weight)

    def gain(self, condition: Float[Tensor, "c w"]) -> Float[Tensor, "c w"]:
        return 1 + self.linear(condition)


def ada_rms_norm(x: Float[Tensor, "b n w"], gain: Float[Tensor, "b 1 w"]) -> Tensor:
    return F.rms_norm(x, x.shape[-1:], eps=1e-6) * gain


class Layer(nn.Module):
    """Self-attention, cross-attention to the image, and a gated MLP."""

    def __init__(self, width: int, image_width: int) -> None:
        super().__init__()
        heads, hidden = width // HEAD_WIDTH, FFN_EXPANSION * width
        self.self_norm = AdaRMSNorm(width)
        self.self_qkv = Linear(width, 3 * width, bias=False)
        self.self_scale = nn.Parameter(torch.full((heads,), 10.0))
        self.self_out = Linear(width, width, bias=False)
        self.cross_norm = AdaRMSNorm(width)
        self.cross_q = Linear(width, width, bias=False)
        self.cross_kv = Linear(image_width, 2 * width, bias=False)
        self.cross_scale = nn.Parameter(torch.full((heads,), 10.0))
        # In the released weights, but never applied: the model was trained without it.
        self.cross_out = Linear(width, width, bias=False)
        self.ffn_norm = AdaRMSNorm(width)
        self.ffn_up = Linear(width, 2 * hidden, bias=False)
        self.ffn_down = Linear(hidden, width, bias=False)
        for last in (self.self_out, self.cross_out, self.ffn_down):
            nn.init.zeros_(last.weight)

    def gains(self, condition: Float[Tensor, "c w"]) -> Float[Tensor, "3 c w"]:
        """The three norms' gains under each condition."""
        norms = (self.self_norm, self.cross_norm, self.ffn_norm)
        return torch.stack([norm.gain(condition) for norm in norms])

    def image_keys_values(self, tokens: Float[Tensor, "b n d"], rotation: Rotation) -> KeysValues:
        """The image's side of the cross-attention."""
        keys, values = _split_heads(self.cross_kv(tokens), 2)
        return KeysValues(_normalise(keys, self.cross_scale, rotation), values)

    def forward(
        self,
        x: Float[Tensor, "b l w"],
        rotation: Rotation,
        gains: Float[Tensor, "3 b 1 w"],
        image: KeysValues,
        new_pokes: int,
        kept: KeysValues | None,
        visible: Bool[Tensor, "q p"] | None,
    ) -> tuple[Float[Tensor, "b l w"], KeysValues]:
        """Tokens (`new_pokes` pokes, then queries) through the layer.

        `kept` holds earlier pokes; the second result holds them and the new ones. `visible`
        says which pokes each query sees; None: all of them.
        """
        q, k, v = _split_heads(self.self_qkv(ada_rms_norm(x, gains[0])), 3)
        q, k = (_normalise(part, self.self_scale, rotation) for part in (q, k))
        pokes = KeysValues(k[:, :, :new_pokes], v[:, :, :new_pokes])
        if kept is not None:
            pokes = KeysValues(*(torch.cat(pair, 2) for pair in zip(kept, pokes, strict=True)))
        queries = KeysValues(k[:, :, new_pokes:], v[:, :, new_pokes:])
        attended = torch.cat(
            [
                _attend_earlier(q[:, :, :new_pokes], pokes),
                _attend_pokes_and_self(q[:, :, new_pokes:], pokes, queries, visible),
            ],
            2,
        )
        x = x + self.self_out(_join_heads(attended))

        (q,) = _split_heads(self.cross_q(ada_rms_norm(x, gains[1])), 1)
        x = x + _join_heads(_attend_image(_normalise(q, self.cross_scale, rotation), image))

        values, gates = self.ffn_up(ada_rms_norm(x, gains[2])).chunk(2, -1)
        return x + self.ffn_down(values * F.silu(gates)), pokes


class Transformer(nn.Module):
    """The stack of layers, with one rotary embedding for all."""

    def __init__(self, width: int, depth: int, image_width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(width, image_width) for _ in range(depth))
        self.pos_emb = RotaryEmbedding(width // HEAD_WIDTH)

    def image_keys_values(
        self, tokens: Float[Tensor, "b n d"], pos: Float[Tensor, "b n 2"]
    ) -> list[KeysValues]:
        """Each layer's keys and values of the image: all that the layers need of it."""
        rotation = self.pos_emb(pos)
        layers = cast("list[Layer]", list(self.layers))
        return [layer.image_keys_values(tokens, rotation) for layer in layers]

    def gains(self, conditions: Float[Tensor, "c w"]) -> Float[Tensor, "depth 3 c w"]:
        """Every norm's gain under each condition."""
        layers = cast("list[Layer]", list(self.layers))
        return torch.stack([layer.gains(conditions) for layer in layers])

    def forward(
        self,
        x: Float[Tensor, "b l w"],
        pos: Float[Tensor, "b l 2"],
        gains: Float[Tensor, "depth 3 b w"],
        image: list[KeysValues],
        new_pokes: int,
        kept: list[KeysValues] | None = None,
        visible: Bool[Tensor, "q p"] | None = None,
    ) -> tuple[Float[Tensor, "b l w"], list[KeysValues]]:
        """All layers; arguments and results as `Layer.forward`, one entry a layer."""
        rotation = self.pos_emb(pos)
        all_pokes = []
        for i, layer in enumerate(self.layers):
            x, pokes = layer(
                x,
                rotation,
                gains[i].unsqueeze(2),
                image[i],
                new_pokes,
                None if kept is None else kept[i],
                visible,
            )
            all_pokes.append(pokes)
        return x, all_pokes


def _split_heads(x: Float[Tensor, "b n pw"], parts: int) -> Float[Tensor, "p b h n c"]:
    return rearrange(x, "b n (p h c) -> p b h n c", p=parts, c=HEAD_WIDTH)


def _join_heads(x: Float[Tensor, "b h n c"]) -> Float[Tensor, "b n w"]:
    return rearrange(x, "b h n c -> b n (h c)")


def _normalise(
    x: Float[Tensor, "b h n c"], scale: Float[Tensor, "h"], rotation: Rotation
) -> Float[Tensor, "b h n c"]:
    """Queries or keys to length sqrt(|scale|) (in float32), rotated."""
    v = x.float()
    length = (v.square().sum(-1, keepdim=True) + 1e-6).rsqrt()
    factor = (scale.float().abs() + 1e-6).sqrt().view(-1, 1, 1) * length
    return rotation(v * factor).to(x.dtype)


def _attend_earlier(q: Float[Tensor, "b h n c"], pokes: KeysValues) -> Float[Tensor, "b h n c"]:
    """The newest pokes attend to all earlier ones and themselves."""
    new, total = q.shape[2], pokes.keys.shape[2]
    if new == 0:
        return q
    mask = torch.ones(new, total, dtype=torch.bool, device=q.device).tril(total - new)
    return F.scaled_dot_product_attention(q, pokes.keys, pokes.values, mask, scale=1.0)


def _attend_pokes_and_self(
    q: Float[Tensor, "b h q c"],
    pokes: KeysValues,
    queries: KeysValues,
    visible: Bool[Tensor, "q p"] | None,
) -> Float[Tensor, "b h q c"]:
    """Each query attends to the pokes it sees and to itself: P + 1 keys, never all pairs."""
    to_pokes = (q @ pokes.keys.mT).float()
    if visible is not None:
        to_pokes = to_pokes.masked_fill(~visible, -torch.inf)
    to_self = (q * queries.keys).sum(-1, keepdim=True).float()
    share = torch.cat([to_pokes, to_self], -1).softmax(-1).to(q.dtype)
    return share[..., :-1] @ pokes.values + share[..., -1:] * queries.values


def _attend_image(q: Float[Tensor, "b h l c"], image: KeysValues) -> Float[Tensor, "b h l c"]:
    """Attention to the image's tokens; several rows of a batch may share one image.

    Rows of the same image are joined into one longer sequence, so that its keys and values are
    read once and never copied.
    """
    images = len(image.keys)
    joined = rearrange(q, "(i m) h l c -> i h (m l) c", i=images)
    out = F.scaled_dot_product_attention(joined, image.keys, image.values, scale=1.0)
    return rearrange(out, "i h (m l) c -> (i m) h l c", l=q.shape[2])
