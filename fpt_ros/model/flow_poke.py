# SPDX-License-Identifier: Apache-2.0
"""The Flow Poke Transformer (Baumann et al., "What If: Understanding Motion Through Sparse
Interactions", ICCV 2025, arXiv 2510.12777).

Three stages, the result of each good for any number of the next one:

    image = model.embed_image(images)
    pokes = model.embed_pokes(positions, flows, camera_static, image)
    mixture = model.query(query_positions, pokes, image)

Parallel prediction, autoregressive sampling and the query-causal training pass of the paper are
short compositions of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from einops import rearrange
from torch import Tensor, nn

from fpt_ros.model.attention import KeysValues, attend_masked, attend_to_pokes_and_self
from fpt_ros.model.config import ModelConfig, Provenance
from fpt_ros.model.embedded_image import EmbeddedImage
from fpt_ros.model.image_embedder import ImageEmbedder, cell_centres
from fpt_ros.model.mixture import MotionMixture, join_mixtures, mixture_from_head
from fpt_ros.model.poke_cache import PokeCache, Prefill
from fpt_ros.model.sampling import AutoregressiveSampling
from fpt_ros.model.shapes import check_pokes, check_queries, check_training
from fpt_ros.model.tokens import TokenEmbedding, sample_features
from fpt_ros.model.transformer import Transformer

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Bool, Float, Int

QUERIES_AT_ONCE = 1024
"""Rows times queries that run through the transformer together: bounds the memory of a request."""


class FlowPokeTransformer(AutoregressiveSampling, nn.Module):
    """From an image and pokes to the distribution of any point's motion.

    Positions are (x, y) in the unit square of the model's view, corners outermost; flows are
    displacements in the same unit; images are in [-1, 1]. `camera_static` is for all rows, or one
    for each. State-dict names and shapes are those of the released checkpoint.
    """

    OUTPUTS = 6
    """Numbers that the head gives for each component: a logit, a mean (2), a Cholesky factor."""

    def __init__(self, config: ModelConfig | None = None) -> None:
        super().__init__()
        self.config = config or ModelConfig()
        self.provenance: Provenance | None = None  # set where a checkpoint is loaded
        width = self.config.width
        self.image_embedder = ImageEmbedder(self.config)
        image_width = self.image_embedder.model.channels
        self.cond_emb = nn.Embedding(2, width)
        self.input_mlp = TokenEmbedding(width, image_width)
        self.transformer = Transformer(width, self.config.depth, image_width)
        self.out_mlp = nn.Sequential(
            nn.RMSNorm(width, eps=1e-6),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, self.OUTPUTS * self.config.components),
        )

    @property
    def device(self) -> torch.device:
        """Where the parameters live."""
        return self.cond_emb.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the parameters; the mixtures are float64 always."""
        return self.cond_emb.weight.dtype

    def embed_image(self, images: Float[Tensor, "b 3 h w"]) -> EmbeddedImage:
        """Run the encoder on the images' central squares, once for any number of predictions."""
        features = self.image_embedder(images)
        tokens = rearrange(features, "b d h w -> b (h w) d")
        return EmbeddedImage(
            features.to(torch.float32, copy=True),  # a CUDA graph's own output is overwritten
            self.transformer.image_keys_values(tokens, cell_centres(features)),
            self.transformer.gains(self.cond_emb.weight),
        )

    def embed_pokes(
        self,
        positions: Float[Tensor, "b p 2"],
        flows: Float[Tensor, "b p 2"],
        camera_static: bool | Bool[Tensor, "b"],
        image: EmbeddedImage,
        after: PokeCache | None = None,
    ) -> PokeCache:
        """The pokes' keys and values, once for any number of queries.

        Args:
            after: pokes before these, of the same rows; they stay as they are.

        Raises:
            ValueError: shapes that do not fit together; the message names the argument.
        """
        check_pokes(positions, flows, camera_static, len(image.features))
        pokes = PokeCache.of(positions, flows, image.gains, camera_static, after)
        prefill = Prefill(positions.shape[1], after)
        tokens = self.input_mlp(
            self.input_mlp.known(flows), sample_features(image.features, positions)
        )
        self.transformer(tokens, positions, pokes.gains, image.keys_values, prefill)
        return pokes.filled(prefill)

    def query(
        self, positions: Float[Tensor, "b q 2"], pokes: PokeCache, image: EmbeddedImage
    ) -> MotionMixture:
        """Mixtures [b, q] of each point's flow, given the pokes. Queries do not see each other.

        Raises:
            ValueError: shapes that do not fit together; the message names the argument.
        """
        check_queries(positions, len(pokes.positions))
        features = sample_features(image.features, positions)
        tokens = self.input_mlp(self.input_mlp.asked(*positions.shape[:2]), features)
        tokens, head = self._with_prior(tokens, positions, pokes, image)

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            own, seen = KeysValues(k, v), pokes.layer(layer)
            return attend_to_pokes_and_self(q, own, seen, pokes.lengths)

        return head(self.transformer(tokens, positions, pokes.gains, image.keys_values, attend))

    def poke_and_query(
        self,
        poke_pos: Float[Tensor, "b p 2"],
        poke_flow: Float[Tensor, "b p 2"],
        query_pos: Float[Tensor, "b q 2"],
        camera_static: bool | Bool[Tensor, "b"],
        image: EmbeddedImage,
        after: PokeCache | None = None,
        capacity: int | None = None,
        lengths: Int[Tensor, "#b #q"] | None = None,
    ) -> tuple[PokeCache, MotionMixture]:
        """`embed_pokes` and `query` in one pass: reading the weights is most of what few points
        cost, and here they are read once.

        Args:
            capacity: keep the cache in buffers for so many tokens (see `Prefill`).
            lengths: how many of the pokes each query sees, as `PokeCache.upto` has it.
        """
        count, positions = poke_pos.shape[1], torch.cat([poke_pos, query_pos], 1)
        pokes = PokeCache.of(poke_pos, poke_flow, image.gains, camera_static, after).upto(lengths)
        prefill = Prefill(count, after, capacity, lengths)
        motion = [self.input_mlp.known(poke_flow), self.input_mlp.asked(*query_pos.shape[:2])]
        tokens = self.input_mlp(torch.cat(motion, 1), sample_features(image.features, positions))
        tokens, head = self._with_prior(tokens, query_pos, pokes, image)
        hidden = self.transformer(tokens, positions, pokes.gains, image.keys_values, prefill)
        return pokes.filled(prefill), head(hidden[:, count:])

    def forward(
        self,
        positions: Float[Tensor, "b l 2"],
        flows: Float[Tensor, "b l 2"],
        is_query: Bool[Tensor, "b l"],
        camera_static: bool | Bool[Tensor, "b"],
        mask: Bool[Tensor, "*#b l l"] | None,
        image: EmbeddedImage,
    ) -> MotionMixture:
        """Mixtures [b, l] at pokes and queries alike, with any mask: the published `forward`.

        Args:
            flows: those of queries are not read.
            mask: who sees whom, True where the row's token sees the column's; None: causal.

        Raises:
            ValueError: shapes that do not fit together; the message names the argument.
        """
        check_pokes(positions, flows, camera_static, len(image.features))
        asked = self.input_mlp.asked(*positions.shape[:2])
        motion = torch.where(is_query[..., None], asked, self.input_mlp.known(flows))
        tokens = self.input_mlp(motion, sample_features(image.features, positions))
        gains = PokeCache.of(positions, flows, image.gains, camera_static).gains

        def attend(_: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return attend_masked(q, KeysValues(k, v), mask)

        return self.head(self.transformer(tokens, positions, gains, image.keys_values, attend))

    def head(self, hidden: Float[Tensor, "b l w"]) -> MotionMixture:
        """Decoded tokens to mixtures [b, l]."""
        config = self.config
        return mixture_from_head(self.out_mlp(hidden), config.components, config.flow_scale)

    def _with_prior(
        self,
        tokens: Float[Tensor, "b l w"],
        query_pos: Float[Tensor, "b q 2"],
        pokes: PokeCache,
        image: EmbeddedImage,
    ) -> tuple[Float[Tensor, "b l w"], Callable[[Tensor], MotionMixture]]:
        """Tokens, of which the last q are queries, and the head for these; a model that has an
        expectation of its own brings it in here."""
        return tokens, self.head

    def predict_parallel(
        self,
        poke_pos: Float[Tensor, "b p 2"],
        poke_flow: Float[Tensor, "b p 2"],
        query_pos: Float[Tensor, "b q 2"],
        camera_static: bool | Bool[Tensor, "b"],
        embedded: EmbeddedImage,
    ) -> MotionMixture:
        """Mixtures [b, q] of each query point's flow, given all pokes (section 3 of the paper).

        Raises:
            ValueError: shapes that do not fit together; the message names the argument.
        """
        check_pokes(poke_pos, poke_flow, camera_static, len(embedded.features))
        check_queries(query_pos, len(poke_pos))
        chunk = max(1, QUERIES_AT_ONCE // max(1, len(query_pos)))
        first, *others = query_pos.split(chunk, 1)
        pokes, mixture = self.poke_and_query(poke_pos, poke_flow, first, camera_static, embedded)
        return join_mixtures([mixture, *(self.query(part, pokes, embedded) for part in others)], 1)

    def query_causal(
        self,
        poke_pos: Float[Tensor, "b l 2"],
        poke_flow: Float[Tensor, "b l 2"],
        query_pos: Float[Tensor, "b l n 2"],
        camera_static: bool | Bool[Tensor, "b"],
        embedded: EmbeddedImage,
    ) -> MotionMixture:
        """Mixtures [b, l, n] where the queries [:, i] are given the first i pokes only.

        One pass gives every number of pokes from 0 to l - 1 (the training pass of the paper).

        Raises:
            ValueError: shapes that do not fit together; the message names the argument.
        """
        check_training(poke_pos, query_pos)
        pokes = self.embed_pokes(poke_pos, poke_flow, camera_static, embedded)
        per_prefix = query_pos.shape[2]
        prefix = torch.arange(len(pokes), device=poke_pos.device).repeat_interleave(per_prefix)
        mixture = self.query(query_pos.flatten(1, 2), pokes.upto(prefix[None]), embedded)
        return mixture.unflatten(1, (len(pokes), per_prefix))

    def training_loss(
        self,
        images: Float[Tensor, "b 3 h w"],
        poke_pos: Float[Tensor, "b l 2"],
        poke_flow: Float[Tensor, "b l 2"],
        query_pos: Float[Tensor, "b l n 2"],
        query_flow: Float[Tensor, "b l n 2"],
        camera_static: bool | Bool[Tensor, "b"],
    ) -> Float[Tensor, ""]:
        """Mean negative log-likelihood of the queries' flows under the query-causal mask.

        Raises:
            ValueError: shapes that do not fit together; the message names the argument.
        """
        check_training(poke_pos, query_pos, query_flow)
        embedded = self.embed_image(images)
        mixture = self.query_causal(poke_pos, poke_flow, query_pos, camera_static, embedded)
        return -mixture.log_prob(query_flow).mean()
