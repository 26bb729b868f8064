"""The transformer over pokes and query points, conditioned on an image.

Pokes see themselves and earlier pokes; a query sees pokes and itself, never another query; all
see every image token. So a poke's keys and values never change, whatever is asked afterwards.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpt_ros.model.attention import attend
from fpt_ros.model.config import HEAD_WIDTH
from fpt_ros.model.packing import Linear

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

FFN_EXPANSION = 3


class KeysValues(NamedTuple):
    """What an attention looks up, ready to use: keys are normalised and rotated."""

    keys: Float[Tensor, "b h n c"]
    values: Float[Tensor, "b h n c"]


class KeptPokes:
    """The keys and values of the pokes so far in one layer, with room for more."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._count = 0
        self._buffers: KeysValues | None = None

    def extended(self, new: KeysValues, keep: int) -> KeysValues:
        """The kept ones with new ones after them, of which the first `keep` are kept, too."""
        if self._buffers is None:
            batch, heads, _, channels = new.keys.shape
            room = (batch, heads, self._capacity, channels)
            self._buffers = KeysValues(*(part.new_empty(room) for part in new))
        end = self._count + new.keys.shape[2]
        if end > self._count:
            for buffer, part in zip(self._buffers, new, strict=True):
                buffer[:, :, self._count : end] = part
        self._count += keep
        return KeysValues(*(buffer[:, :, :end] for buffer in self._buffers))


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
        """The image's side of the cross-attention, laid out as it is read."""
        keys, values = _split_heads(self.cross_kv(tokens), 2).split(1, 2)
        keys = _normalise(keys, self.cross_scale, rotation)
        return KeysValues(*(part[:, :, 0].transpose(1, 2).contiguous() for part in (keys, values)))

    def forward(
        self,
        x: Float[Tensor, "b l w"],
        rotation: Rotation,
        gains: Float[Tensor, "3 #b 1 w"],
        image: KeysValues,
        new_pokes: int,
        kept: KeptPokes | None,
        visible: Bool[Tensor, "q p"] | None,
    ) -> Float[Tensor, "b l w"]:
        """Tokens (`new_pokes` pokes, then queries) through the layer.

        `kept` holds earlier pokes and takes the new ones. `visible` says which pokes each query
        sees; None: all of them.
        """
        qkv = _split_heads(self.self_qkv(ada_rms_norm(x, gains[0])), 3)
        q, k = _normalise(qkv[:, :, :2], self.self_scale, rotation).unbind(2)
        attended = _attend_tokens(q, k, qkv[:, :, 2], new_pokes, kept, visible)
        x = self.self_out.plus(x, attended.flatten(2))

        q = _split_heads(self.cross_q(ada_rms_norm(x, gains[1])), 1)
        q = _normalise(q, self.cross_scale, rotation)
        x = x + _attend_image(q[:, :, 0], image).flatten(2)

        values, gates = self.ffn_up(ada_rms_norm(x, gains[2])).chunk(2, -1)
        return self.ffn_down.plus(x, values * F.silu(gates))


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

    def room_for(self, pokes: int) -> list[KeptPokes]:
        """For each layer, what keeps up to that many tokens."""
        return [KeptPokes(pokes) for _ in self.layers]

    def gains(self, conditions: Float[Tensor, "c w"]) -> Float[Tensor, "depth 3 c w"]:
        """Every norm's gain under each condition."""
        layers = cast("list[Layer]", list(self.layers))
        return torch.stack([layer.gains(conditions) for layer in layers])

    def forward(
        self,
        x: Float[Tensor, "b l w"],
        pos: Float[Tensor, "b l 2"],
        gains: Float[Tensor, "depth 3 #b w"],
        image: list[KeysValues],
        new_pokes: int,
        kept: list[KeptPokes] | None = None,
        visible: Bool[Tensor, "q p"] | None = None,
    ) -> Float[Tensor, "b l w"]:
        """All layers; arguments as `Layer.forward`, one entry a layer."""
        rotation = self.pos_emb(pos)
        for i, layer in enumerate(self.layers):
            kept_here = None if kept is None else kept[i]
            x = layer(x, rotation, gains[i, :, :, None], image[i], new_pokes, kept_here, visible)
        return x


def _split_heads(x: Float[Tensor, "b n pw"], parts: int) -> Float[Tensor, "b n p h c"]:
    return x.view(*x.shape[:2], parts, -1, HEAD_WIDTH)


def _normalise(
    x: Float[Tensor, "b n p h c"], scale: Float[Tensor, "h"], rotation: Rotation
) -> Float[Tensor, "b n p h c"]:
    """Queries or keys to length sqrt(|scale|) (in float32), rotated."""
    v = x.float()
    squared = v.square().sum(-1, keepdim=True)
    wanted = scale.float().abs()[:, None] + 1e-6
    return rotation(v * (wanted / (squared + 1e-6)).sqrt()).to(x.dtype)


def _attend_tokens(
    q: Float[Tensor, "b n h c"],
    k: Float[Tensor, "b n h c"],
    v: Float[Tensor, "b n h c"],
    new_pokes: int,
    kept: KeptPokes | None,
    visible: Bool[Tensor, "q p"] | None,
) -> Float[Tensor, "b n h c"]:
    """Pokes attend to earlier ones and themselves, queries to all pokes and themselves."""
    # A lone query sees what another poke in its place would: one attention serves both.
    single = visible is None and q.shape[1] == new_pokes + 1
    in_turn = q.shape[1] if single else new_pokes
    q, k, v = (part.transpose(1, 2) for part in (q, k, v))
    pokes = KeysValues(k[:, :, :in_turn], v[:, :, :in_turn])
    if kept is not None:
        pokes = kept.extended(pokes, new_pokes)
    if in_turn == q.shape[2]:
        return _attend_earlier(q, pokes).transpose(1, 2)
    queries = KeysValues(k[:, :, in_turn:], v[:, :, in_turn:])
    attended = _attend_pokes_and_self(q[:, :, in_turn:], pokes, queries, visible)
    if in_turn:
        attended = torch.cat([_attend_earlier(q[:, :, :in_turn], pokes), attended], 2)
    return attended.transpose(1, 2)


def _attend_earlier(q: Float[Tensor, "b h n c"], tokens: KeysValues) -> Float[Tensor, "b h n c"]:
    """The newest tokens attend to all earlier ones and themselves."""
    new, total = q.shape[2], tokens.keys.shape[2]
    if new in (1, total):
        return F.scaled_dot_product_attention(q, *tokens, is_causal=new > 1, scale=1.0)
    order = torch.arange(total, device=q.device)
    mask = order <= order[total - new :, None]
    return F.scaled_dot_product_attention(q, *tokens, mask, scale=1.0)


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


def _attend_image(q: Float[Tensor, "b l h c"], image: KeysValues) -> Float[Tensor, "b l h c"]:
    """Attention to the image's tokens; several rows of a batch may share one image.

    Rows of the same image are joined into one longer sequence, so that its keys and values are
    read once and never copied.
    """
    joined = q.reshape(len(image.keys), -1, *q.shape[2:]).transpose(1, 2)
    out = attend(joined, *image, scale=1.0)
    return out.transpose(1, 2).reshape(q.shape)
