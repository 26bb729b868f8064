# SPDX-License-Identifier: Apache-2.0
"""The small model: a Flow Poke Transformer whose queries are told a first guess of their motion."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpt_ros.model.embedded_image import EmbeddedImage
from fpt_ros.model.flow_poke import FlowPokeTransformer
from fpt_ros.model.mixture import MotionMixture, mixture_from_head
from fpt_ros.model.small.modes import MotionModes
from fpt_ros.model.tokens import sample_features

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float

    from fpt_ros.model.poke_cache import PokeCache
    from fpt_ros.model.small.config import SmallModelConfig


@dataclasses.dataclass(frozen=True)
class SmallEmbeddedImage(EmbeddedImage):
    """An embedded image, and how the bodies in it may move."""

    modes: Float[Tensor, "b c gh gw"]
    """What the guess must know of each cell (see `MotionModes`), float32."""


class SmallFlowPokeTransformer(FlowPokeTransformer):
    """A Flow Poke Transformer with motion modes (see `fpt_ros.model.small.modes`).

    They give a guess of each query's flow. Its token is told the guess, and each component of the
    head has one more number: how much of the guess is added to its mean.
    """

    OUTPUTS = 7

    def __init__(self, config: SmallModelConfig) -> None:
        super().__init__(config)
        channels = self.image_embedder.model.channels
        self.modes = MotionModes(
            channels, config.pair_channels, config.modes, config.mode_width, config.reach
        )
        self.guess_emb = nn.Linear(3, config.width, bias=False)
        nn.init.zeros_(self.guess_emb.weight)

    def embed_image(self, images: Float[Tensor, "b 3 h w"]) -> SmallEmbeddedImage:
        """As the published model does, and what the guesses need."""
        image = super().embed_image(images)
        modes = self.modes(image.features.to(self.dtype))
        return SmallEmbeddedImage(**vars(image), modes=modes)

    def guess(
        self, query_pos: Float[Tensor, "b q 2"], pokes: PokeCache, image: SmallEmbeddedImage
    ) -> Float[Tensor, "b q 3"]:
        """The flow to expect of each query, and how many pokes are on its body."""
        visible = None
        if pokes.lengths is not None:
            order = torch.arange(len(pokes), device=query_pos.device)
            visible = order < pokes.lengths[..., None]
        with torch.autocast(query_pos.device.type, enabled=False):
            at_points = sample_features(image.modes, torch.cat([pokes.positions, query_pos], 1))
            at_poke, at_query = at_points.split([len(pokes), query_pos.shape[1]], 1)
            return self.modes.guess(
                query_pos, at_query, pokes.positions, at_poke, pokes.flows, visible
            )

    def head(self, hidden: Float[Tensor, "b l w"]) -> MotionMixture:
        raise TypeError(
            "the small model predicts at queries, which have a guess: use query, poke_and_query or "
            "predict_parallel; forward is the published model's"
        )

    def _head_given(
        self, hidden: Float[Tensor, "b q w"], guess: Float[Tensor, "b q 3"]
    ) -> MotionMixture:
        """Decoded queries to mixtures [b, q], given the guess that they were told."""
        raw = self.out_mlp(hidden)
        count = self.config.components
        mixture = mixture_from_head(raw[..., : 6 * count], count, self.config.flow_scale)
        share = raw[..., 6 * count :, None].double()
        return dataclasses.replace(
            mixture, locs=mixture.locs + share * guess[..., None, :2].double()
        )

    def _with_prior(
        self,
        tokens: Float[Tensor, "b l w"],
        query_pos: Float[Tensor, "b q 2"],
        pokes: PokeCache,
        image: EmbeddedImage,
    ) -> tuple[Float[Tensor, "b l w"], Callable[[Tensor], MotionMixture]]:
        guess = self.guess(query_pos, pokes, cast("SmallEmbeddedImage", image))
        flow, count = guess.split([2, 1], -1)
        told = torch.cat([flow * self.config.flow_scale, count], -1).to(tokens.dtype)
        others = tokens.shape[1] - query_pos.shape[1]
        tokens = tokens + F.pad(self.guess_emb(told), (0, 0, others, 0))
        return tokens, partial(self._head_given, guess=guess)
