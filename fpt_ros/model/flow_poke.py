"""The Flow Poke Transformer (Baumann et al., "What If: Understanding Motion Through Sparse
Interactions", ICCV 2025, arXiv 2510.12777)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from fpt_ros.model.config import SMALL_ENCODER, ModelConfig, Provenance
from fpt_ros.model.dinov2 import DinoV2Encoder
from fpt_ros.model.efficientnet import EfficientNetLite0Encoder
from fpt_ros.model.mixture import MotionMixture, mixture_from_head
from fpt_ros.model.modes import MotionModes
from fpt_ros.model.packing import Linear
from fpt_ros.model.tokens import TokenEmbedding, sample_features
from fpt_ros.model.transformer import KeptPokes, KeysValues, Transformer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jaxtyping import Bool, Float

TOKENS_AT_ONCE = 1024
"""Queries that run through the transformer together: bounds the memory of any request."""


@dataclasses.dataclass(frozen=True)
class EmbeddedImage:
    """All that predictions need of some images, and that pokes and queries do not change."""

    features: Float[Tensor, "b d gh gw"]
    """The encoder's map, float32."""
    keys_values: list[KeysValues]
    """The cross-attention's keys and values, one entry a layer."""
    gains: Float[Tensor, "depth 3 2 w"]
    """The norms' gains with a moving (0) and a static (1) camera."""
    modes: Float[Tensor, "b c gh gw"] | None
    """What the guess must know of each cell, float32; None: the model does not guess."""


class FlowPokeTransformer(nn.Module):
    """From an image and pokes to the distribution of any point's motion.

    Positions are (x, y) in the unit square of the model's view, corners outermost; flows are
    displacements in the same unit; images are in [-1, 1]. State-dict names and shapes are those
    of the released checkpoint, which does not guess. With modes, a query's token is told the guess,
    and each component has another number: how much of it is added to its mean.
    """

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
        self.modes: MotionModes | None = None
        encoder = self.image_embedder.model
        if self.config.modes and isinstance(encoder, EfficientNetLite0Encoder):
            self.modes = MotionModes(image_width, encoder.pair_channels, self.config.modes)
            self.guess_emb = Linear(3, width, bias=False)
            nn.init.zeros_(self.guess_emb.weight)
        self.out_mlp = nn.Sequential(
            nn.RMSNorm(width, eps=1e-6),
            Linear(width, width),
            nn.SiLU(),
            Linear(width, width),
            nn.SiLU(),
            Linear(width, (7 if self.config.modes else 6) * self.config.components),
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
        pos = _patch_centres(features)
        return EmbeddedImage(
            features.to(torch.float32, copy=True),  # a CUDA graph's own output is overwritten
            self.transformer.image_keys_values(tokens, pos),
            self.transformer.gains(self.cond_emb.weight),
            None if self.modes is None else self.modes(features),
        )

    def predict_parallel(
        self,
        poke_pos: Float[Tensor, "b p 2"],
        poke_flow: Float[Tensor, "b p 2"],
        query_pos: Float[Tensor, "b q 2"],
        camera_static: bool | Bool[Tensor, "b"],
        embedded: EmbeddedImage,
    ) -> MotionMixture:
        """Mixtures [b, q] of each query point's flow, given all pokes (section 3 of the paper).

        Queries do not see each other, so they run in chunks. The embedding may hold fewer images
        than `b`, which must then be a multiple: consecutive rows share an image.

        Raises:
            ValueError: shapes that do not fit together.
        """
        _check_shapes(poke_pos, poke_flow, query_pos, embedded)
        chunk = max(1, TOKENS_AT_ONCE // max(1, len(query_pos)))
        several = query_pos.shape[1] > chunk
        kept = self.transformer.room_for(poke_pos.shape[1] + 1) if several else None
        all_pos, all_flow = poke_pos, poke_flow
        chunks, guesses = [], []
        for queries in query_pos.split(chunk, 1):
            pos = torch.cat([poke_pos, queries], 1)
            guesses.append(self.guess(all_pos, all_flow, queries, embedded.modes))
            x = self._decode(pos, poke_flow, guesses[-1], camera_static, embedded, kept)
            chunks.append(self.out_mlp(x[:, poke_pos.shape[1] :]))
            poke_pos, poke_flow = poke_pos[:, :0], poke_flow[:, :0]  # from now on they are kept
        return self.mixture(torch.cat(chunks, 1), torch.cat(guesses, 1))

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
        """
        pokes, per_prefix = query_pos.shape[1:3]
        _check_shapes(poke_pos, poke_flow, query_pos.flatten(1, 2), embedded)
        prefix = torch.arange(pokes, device=poke_pos.device)
        visible = (prefix < prefix[:, None]).repeat_interleave(per_prefix, 0)
        pos = torch.cat([poke_pos, query_pos.flatten(1, 2)], 1)
        guess = self.guess(poke_pos, poke_flow, query_pos.flatten(1, 2), embedded.modes, visible)
        x = self._decode(pos, poke_flow, guess, camera_static, embedded, visible=visible)
        raw, guess = (
            rearrange(part, "b (l n) k -> b l n k", n=per_prefix)
            for part in (self.out_mlp(x[:, pokes:]), guess)
        )
        return self.mixture(raw, guess)

    def training_loss(
        self,
        images: Float[Tensor, "b 3 h w"],
        poke_pos: Float[Tensor, "b l 2"],
        poke_flow: Float[Tensor, "b l 2"],
        query_pos: Float[Tensor, "b l n 2"],
        query_flow: Float[Tensor, "b l n 2"],
        camera_static: bool | Bool[Tensor, "b"],
    ) -> Float[Tensor, ""]:
        """Mean negative log-likelihood of the queries' flows under the query-causal mask."""
        embedded = self.embed_image(images)
        mixture = self.query_causal(poke_pos, poke_flow, query_pos, camera_static, embedded)
        return -mixture.log_prob(query_flow).mean()

    @torch.no_grad()
    def sample_autoregressive(
        self,
        poke_pos: Float[Tensor, "b p 2"],
        poke_flow: Float[Tensor, "b p 2"],
        query_pos: Float[Tensor, "b q 2"],
        camera_static: bool | Bool[Tensor, "b"],
        embedded: EmbeddedImage,
        generator: torch.Generator | None = None,
        randomize_order: bool = True,
    ) -> Float[Tensor, "b q 2"]:
        """One joint sample of all queries' flows: each sampled flow is a poke for the next."""
        count = query_pos.shape[1]
        order = torch.arange(count, device=query_pos.device)
        if randomize_order:
            device = None if generator is None else generator.device
            order = torch.randperm(count, generator=generator, device=device).to(order.device)
        steps = self.sample_in_turn(
            poke_pos,
            poke_flow,
            query_pos[:, order],
            camera_static,
            embedded,
            lambda mixture: mixture.sample(1, generator)[0],
        )
        flows = torch.empty_like(query_pos)
        flows[:, order] = torch.stack(list(steps), 1)
        return flows

    def sample_in_turn(
        self,
        poke_pos: Float[Tensor, "b p 2"],
        poke_flow: Float[Tensor, "b p 2"],
        query_pos: Float[Tensor, "b q 2"],
        camera_static: bool | Bool[Tensor, "b"],
        embedded: EmbeddedImage,
        draw: Callable[[MotionMixture], Float[Tensor, "b 2"]],
    ) -> Iterator[Float[Tensor, "b 2"]]:
        """Flows of the queries in their order; a step runs the newest poke and one query.

        `draw` chooses each flow from its distribution, a mixture [b].
        """
        _check_shapes(poke_pos, poke_flow, query_pos, embedded)
        kept = self.transformer.room_for(poke_pos.shape[1] + query_pos.shape[1])
        all_pos, all_flow = poke_pos, poke_flow
        for query in query_pos.split(1, 1):
            pos = torch.cat([poke_pos, query], 1)
            guess = self.guess(all_pos, all_flow, query, embedded.modes)
            x = self._decode(pos, poke_flow, guess, camera_static, embedded, kept)
            mixture = self.mixture(self.out_mlp(x[:, -1]), guess[:, 0])
            flow = draw(mixture).to(query)
            yield flow
            poke_pos, poke_flow = query, flow[:, None]
            all_pos, all_flow = (
                torch.cat(parts, 1) for parts in ((all_pos, query), (all_flow, poke_flow))
            )

    def _decode(
        self,
        pos: Float[Tensor, "b l 2"],
        poke_flow: Float[Tensor, "b p 2"],
        guess: Float[Tensor, "b q 3"],
        camera_static: bool | Bool[Tensor, "b"],
        embedded: EmbeddedImage,
        kept: list[KeptPokes] | None = None,
        visible: Bool[Tensor, "q p"] | None = None,
    ) -> Float[Tensor, "b l w"]:
        """Tokens at `pos` (new pokes, then queries) through the transformer."""
        tokens = self.tokens(pos, poke_flow, guess, embedded.features)
        if isinstance(camera_static, Tensor):
            gains = embedded.gains[:, :, camera_static.long()]
        else:
            gains = embedded.gains[:, :, int(camera_static), None]
        return self.transformer(
            tokens, pos, gains, embedded.keys_values, poke_flow.shape[1], kept, visible
        )

    def guess(
        self,
        poke_pos: Float[Tensor, "b p 2"],
        poke_flow: Float[Tensor, "b p 2"],
        query_pos: Float[Tensor, "b q 2"],
        modes: Float[Tensor, "b c gh gw"] | None,
        visible: Bool[Tensor, "q p"] | None = None,
    ) -> Float[Tensor, "b q 3"]:
        """What the embedded image's modes let expect of the queries; zeros where there are none."""
        if self.modes is None or modes is None:
            return F.pad(torch.zeros_like(query_pos), (0, 1))
        with torch.autocast(query_pos.device.type, enabled=False):
            at_points = sample_features(modes, torch.cat([poke_pos, query_pos], 1))
            at_poke, at_query = at_points.split([poke_pos.shape[1], query_pos.shape[1]], 1)
            return self.modes.guess(query_pos, at_query, poke_pos, at_poke, poke_flow, visible)

    def tokens(
        self,
        pos: Float[Tensor, "b l 2"],
        poke_flow: Float[Tensor, "b p 2"],
        guess: Float[Tensor, "b q 3"],
        features: Float[Tensor, "b d gh gw"],
    ) -> Float[Tensor, "b l w"]:
        """Of the pokes and of the queries after them, which are told the guess."""
        tokens = self.input_mlp(poke_flow, sample_features(features, pos))
        if self.modes is None:
            return tokens
        flow, count = guess.split([2, 1], -1)
        told = torch.cat([flow * self.config.flow_scale, count], -1)
        told = self.guess_emb(told.to(tokens.dtype))
        return tokens + F.pad(told, (0, 0, poke_flow.shape[1], 0))

    def mixture(
        self, raw: Float[Tensor, "*points k6"], guess: Float[Tensor, "*points 3"]
    ) -> MotionMixture:
        """The head's numbers as a mixture; with modes, the last ones say how much of the guess is
        added to each component's mean."""
        count = self.config.components
        mixture = mixture_from_head(raw[..., : 6 * count], count, self.config.flow_scale)
        if self.modes is None:
            return mixture
        share = raw[..., 6 * count :, None].double()
        return dataclasses.replace(
            mixture, locs=mixture.locs + share * guess[..., None, :2].double()
        )


class ImageEmbedder(nn.Module):
    """Images of any size to the feature map of their central square."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.image_size = config.image_size
        self.model: DinoV2Encoder | EfficientNetLite0Encoder
        if config.encoder == SMALL_ENCODER:
            self.model = EfficientNetLite0Encoder(config.image_size)
        else:
            self.model = DinoV2Encoder(config.encoder)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d gh gw"]:
        square = resize(central_square(images), self.image_size)
        return self.model(square.to(next(self.model.parameters()).dtype))


def central_square(images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c s s"]:
    """The largest centred square; odd remainders fall as Python's round has it."""
    height, width = images.shape[-2:]
    side = min(height, width)
    top, left = round((height - side) / 2), round((width - side) / 2)
    return images[..., top : top + side, left : left + side]


def resize(images: Float[Tensor, "b c s s"], size: int) -> Float[Tensor, "b c size size"]:
    """Bilinear with antialiasing."""
    if images.shape[-1] == size:
        return images
    return F.interpolate(images, size=(size, size), mode="bilinear", antialias=True)


def _patch_centres(features: Float[Tensor, "b d gh gw"]) -> Float[Tensor, "b n 2"]:
    """Positions of the map's cells in the unit square, row by row."""
    height, width = features.shape[-2:]
    y = (torch.arange(height, device=features.device) + 0.5) / height
    x = (torch.arange(width, device=features.device) + 0.5) / width
    centres = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).flatten(0, 1)
    return centres.expand(len(features), -1, -1)


def _check_shapes(
    poke_pos: Tensor, poke_flow: Tensor, query_pos: Tensor, embedded: EmbeddedImage
) -> None:
    """Shapes that would broadcast to a wrong answer are refused instead."""
    images = len(embedded.features)
    batch = len(query_pos)
    if query_pos.ndim != 3 or query_pos.shape[-1] != 2 or query_pos.shape[1] < 1:
        raise ValueError(f"query_pos has shape {tuple(query_pos.shape)}: must be [b, q >= 1, 2]")
    if poke_pos.ndim != 3 or len(poke_pos) != batch or poke_pos.shape[-1] != 2:
        raise ValueError(f"poke_pos has shape {tuple(poke_pos.shape)}: must be [{batch}, p, 2]")
    if poke_flow.shape != poke_pos.shape:
        raise ValueError(
            f"poke_flow has shape {tuple(poke_flow.shape)}: must be {tuple(poke_pos.shape)}, "
            "as poke_pos"
        )
    if batch % images:
        raise ValueError(f"{batch} rows do not divide among {images} embedded images")
