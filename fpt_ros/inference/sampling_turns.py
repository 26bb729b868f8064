# SPDX-License-Identifier: Apache-2.0
"""One turn of sampling in fixed places: the poke of the last turn is added, one query asked."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fpt_ros.model import EmbeddedImage, FlowPokeTransformer, MotionMixture
from fpt_ros.model.attention import KeysValues, attend_to_pokes_and_self
from fpt_ros.model.poke_cache import PokeCache
from fpt_ros.model.tokens import sample_features

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclasses.dataclass(frozen=True)
class Turn:
    """The pokes so far in buffers, and the next ones. All rows have as many pokes."""

    pokes: PokeCache
    """With room for more; what is behind the pokes so far is finite, and has no weight."""
    count: Int[Tensor, "1"]
    """Pokes so far."""
    poke_pos: Float[Tensor, "b 1 2"]
    """Of the poke that is added."""
    poke_flow: Float[Tensor, "b 1 2"]
    query_pos: Float[Tensor, "b 1 2"]

    @classmethod
    def after(cls, pokes: PokeCache, rows: int, capacity: int) -> Turn:
        """Buffers for so many rows and pokes, of the kind of these."""

        def room(like: Tensor, dim: int) -> Tensor:
            shape = list(like.shape)
            shape[0], shape[dim] = rows, capacity
            return like.new_zeros(shape)

        depth, norms, *_, width = pokes.gains.shape
        cache = PokeCache(
            room(pokes.positions, 1),
            room(pokes.flows, 1),
            pokes.gains.new_zeros(depth, norms, rows, 1, width),
            tuple(KeysValues(room(kv.keys, 2), room(kv.values, 2)) for kv in pokes.layers),
        )
        count = torch.zeros(1, dtype=torch.int64, device=pokes.positions.device)
        new = (pokes.positions.new_zeros(rows, 1, 2) for _ in range(3))
        return cls(cache, count, *new)

    def begin(self, pokes: PokeCache) -> None:
        """With these pokes, the first of those that come."""
        rows, count = pokes.positions.shape[:2]
        self.count.fill_(count)
        self.pokes.gains[:, :, :rows] = pokes.gains
        self.pokes.positions[:rows, :count] = pokes.positions
        self.pokes.flows[:rows, :count] = pokes.flows
        for i, place in enumerate(self.pokes.layers):
            for buffer, part in zip(place, pokes.layer(i), strict=True):
                buffer[:rows, :, :count] = part

    def put(self, poke_pos: Tensor, poke_flow: Tensor, query_pos: Tensor) -> None:
        """What the next turn adds and asks, [b, 1, 2] each."""
        rows = len(query_pos)
        self.poke_pos[:rows], self.poke_flow[:rows] = poke_pos, poke_flow
        self.query_pos[:rows] = query_pos

    def take(self, model: FlowPokeTransformer, image: EmbeddedImage) -> MotionMixture:
        """The mixtures [b, 1] of the queries; the poke is among those so far then."""
        pokes, rows = self.pokes, len(self.query_pos)
        pokes.positions.index_copy_(1, self.count, self.poke_pos)
        pokes.flows.index_copy_(1, self.count, self.poke_flow)
        positions = torch.cat([self.poke_pos, self.query_pos], 1)
        motion = [model.input_mlp.known(self.poke_flow), model.input_mlp.asked(rows, 1)]
        features = sample_features(image.features, positions)
        tokens = model.input_mlp(torch.cat(motion, 1), features)
        seen = pokes.upto((self.count + 1)[None])
        tokens, head = model._with_prior(tokens, self.query_pos, seen, image)
        # The poke sees those before it, the query the poke as well; each sees itself.
        lengths = torch.stack([self.count, self.count + 1], 1)

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            buffers = pokes.layers[layer]
            for buffer, part in zip(buffers, (k, v), strict=True):
                buffer.index_copy_(2, self.count, part[:, :, :1])
            return attend_to_pokes_and_self(q, KeysValues(k, v), buffers, lengths)

        hidden = model.transformer(tokens, positions, pokes.gains, image.keys_values, attend)
        self.count.add_(1)
        return head(hidden[:, 1:])
