# SPDX-License-Identifier: Apache-2.0
"""Pokes as the queries see them: their keys and values in every layer (a causal KV cache)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fpt_ros.model.attention import KeysValues, attend_to_earlier, attend_to_pokes_and_self

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


@dataclasses.dataclass(frozen=True)
class PokeCache:
    """Some pokes, embedded once for any number of queries; made by `embed_pokes`.

    A poke sees earlier ones alone, so the cache of the first n pokes is the first n of the cache:
    more can be appended (`embed_pokes(..., after=)`), and `upto` reads it at any length.
    """

    positions: Float[Tensor, "b p 2"]
    flows: Float[Tensor, "b p 2"]
    gains: Float[Tensor, "depth 3 #b 1 w"]
    """The norms' gains with these rows' cameras, moving or static."""
    layers: tuple[KeysValues, ...] = ()
    """One for each layer, [b, heads, p, 64]; in buffers there is room behind."""
    lengths: Int[Tensor, "#b #q"] | None = None
    """How many of the pokes each query sees; None: all."""

    @classmethod
    def of(
        cls,
        positions: Float[Tensor, "b p 2"],
        flows: Float[Tensor, "b p 2"],
        gains: Float[Tensor, "depth 3 2 w"],
        camera_static: bool | Bool[Tensor, "b"],
        after: PokeCache | None = None,
    ) -> PokeCache:
        """Pokes, after earlier ones if there are any, whose layers are still to be filled."""
        if after is not None:
            positions = torch.cat([after.positions, positions], 1)
            flows = torch.cat([after.flows, flows], 1)
            return cls(positions, flows, after.gains)
        if isinstance(camera_static, Tensor):
            return cls(positions, flows, gains[:, :, camera_static.long(), None])
        return cls(positions, flows, gains[:, :, int(camera_static), None, None])

    def filled(self, prefill: Prefill) -> PokeCache:
        """With the keys and values that a pass of the transformer left."""
        return dataclasses.replace(self, layers=tuple(prefill.layers))

    def __len__(self) -> int:
        return self.positions.shape[1]

    def upto(self, lengths: Int[Tensor, "#b #q"] | None) -> PokeCache:
        """The cache as queries see it that are given only the first `lengths` pokes each (None:
        all of them).

        So one cache serves every prefix of its pokes; and rows with different numbers of pokes go
        into one batch, padded with any others at the end and read up to their own length.
        """
        return dataclasses.replace(self, lengths=lengths)

    def layer(self, index: int) -> KeysValues:
        """The keys and values of all pokes in one layer."""
        return _first(self.layers[index], len(self))


class Prefill:
    """Self-attention for new pokes and for queries after them, which fills a cache.

    With a capacity, the keys and values lie in buffers of that size from the first pass on, and
    those of later ones are written into them: no copy of all for each new poke. Only the one who
    asked for the buffers may append so, and only to the newest cache.
    """

    def __init__(
        self,
        pokes: int,
        after: PokeCache | None,
        capacity: int | None = None,
        lengths: Int[Tensor, "#b #q"] | None = None,
    ) -> None:
        self.layers: list[KeysValues] = []
        self._pokes, self._after, self._capacity = pokes, after, capacity
        self._lengths = lengths
        self._earlier = 0 if after is None else len(after)

    def __call__(
        self,
        layer: int,
        q: Float[Tensor, "b h l c"],
        k: Float[Tensor, "b h l c"],
        v: Float[Tensor, "b h l c"],
    ) -> Float[Tensor, "b h l c"]:
        # A lone query that sees all pokes sees what one more poke would see: one attention serves
        # both. Its own key and value lie behind those that are kept, and go with the next poke.
        lone = self._lengths is None and q.shape[2] == self._pokes + 1
        in_turn = self._pokes + lone
        total = self._earlier + in_turn
        kept = self._append(layer, _first(KeysValues(k, v), in_turn))
        self.layers.append(kept)
        attended = attend_to_earlier(q[:, :, :in_turn], _first(kept, total), self._earlier)
        if in_turn == q.shape[2]:
            return attended
        own = KeysValues(k[:, :, in_turn:], v[:, :, in_turn:])
        asked = attend_to_pokes_and_self(q[:, :, in_turn:], own, _first(kept, total), self._lengths)
        return torch.cat([attended, asked], 2)

    def _append(self, layer: int, new: KeysValues) -> KeysValues:
        """One layer's keys and values of earlier pokes, and new ones after them."""
        earlier = None if self._after is None else self._after.layers[layer]
        if self._capacity is not None:
            buffers = earlier or KeysValues(*(_room(part, self._capacity) for part in new))
            for buffer, part in zip(buffers, new, strict=True):
                buffer[:, :, self._earlier : self._earlier + part.shape[2]] = part
            return buffers
        if earlier is None:
            return new
        pairs = zip(_first(earlier, self._earlier), new, strict=True)
        return KeysValues(*(torch.cat(pair, 2) for pair in pairs))


def _first(tokens: KeysValues, count: int) -> KeysValues:
    if tokens.keys.shape[2] == count:
        return tokens
    return KeysValues(tokens.keys[:, :, :count], tokens.values[:, :, :count])


def _room(like: Float[Tensor, "b h n c"], capacity: int) -> Float[Tensor, "b h m c"]:
    batch, heads, _, channels = like.shape
    return like.new_empty(batch, heads, capacity, channels)
