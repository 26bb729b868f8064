# SPDX-License-Identifier: Apache-2.0
"""The loss of a step: negative log-likelihood under the query-causal mask, and what the small
model's encoder is taught by itself: the pair loss and the mode loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from einops import rearrange
from torch import nn

from fpt_ros.model.small.encoder import EfficientNetLite0Encoder
from fpt_ros.model.small.network import SmallEmbeddedImage, SmallFlowPokeTransformer
from fpt_ros.model.tokens import sample_features
from fpt_ros.training.mode_loss import mode_loss
from fpt_ros.training.pair_loss import PairLoss
from fpt_ros.training.precision import bfloat16_pays

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8
    from torch import Tensor

    from fpt_ros.model import EmbeddedImage, FlowPokeTransformer, MotionMixture
    from fpt_ros.model.small.modes import MotionModes
    from fpt_ros.training.recipes import Recipe
    from fpt_ros.training.sampling import Batch

PCK = (0.1, 0.01, 0.001)
"""A sampled flow is right where it errs by less than this, in image sides."""

USUAL_DEVIATION, WEIGHTS = 0.01, (0.1, 20.0)
"""Image sides; a point with this standard deviation counts once. And how little or much a point may
count at all, at a power of 1."""


def to_model(images: UInt8[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 s s"]:
    """Pictures as the model takes them, in [-1, 1], laid out as convolutions like them."""
    return (images.float() / 127.5 - 1.0).contiguous(memory_format=torch.channels_last)


class TrainingLoss(nn.Module):
    """A model and what it is trained with, as one module: what is optimised, and its loss.

    Sums are divided by how many they are made of, never by sums of weights. So the mean of the
    gradients of several batches is the gradient of their union.
    """

    def __init__(self, model: FlowPokeTransformer, recipe: Recipe) -> None:
        super().__init__()
        self.model, self.recipe = model, recipe
        self.in_bfloat16 = recipe.bfloat16 and bfloat16_pays(model.device)
        encoder = model.image_embedder.model
        self.convolutional = isinstance(encoder, EfficientNetLite0Encoder)
        self.pair_loss: PairLoss | None = None
        trained = recipe.pair_weight > 0 and not recipe.freeze_encoder
        if isinstance(encoder, EfficientNetLite0Encoder) and trained:
            self.pair_loss = PairLoss(encoder.pair_channels)

    @property
    def modes(self) -> MotionModes | None:
        """Those of a small model."""
        return self.model.modes if isinstance(self.model, SmallFlowPokeTransformer) else None

    def forward(
        self, batch: Batch, lead: bool = False, seed: int | None = None
    ) -> dict[str, Float[Tensor, ""]]:
        """`loss`, to be minimised, and its parts: `nll` (or `weighted_nll`, and `nll` only to be
        seen), `pair` and `mode`.

        Args:
            lead: what the encoder is taught by itself, alone.
            seed: also measure samples drawn with it, see `motion_errors`.
        """
        images = to_model(batch.images)
        if lead and self.pair_loss is not None:
            with self._autocast():
                features = self.model.image_embedder(images)
                cells = None if self.modes is None else self.modes(features)
            return self._with_sum(self._encoder_losses(batch, features.float(), cells))
        embedded, mixture = self.predict(batch, images)
        log_prob = mixture.log_prob(batch.query_flow + batch.query_noise)
        found = {"nll": -(log_prob * batch.query_weight).sum() / log_prob.numel()}
        if self.recipe.beta:
            weight = batch.query_weight * uncertainty_weight(mixture, self.recipe.beta)
            found["weighted_nll"] = -(log_prob * weight).sum() / log_prob.numel()
        cells = embedded.modes if isinstance(embedded, SmallEmbeddedImage) else None
        found |= self._encoder_losses(batch, embedded.features, cells)
        found = self._with_sum(found)
        if seed is not None:
            found |= motion_errors(mixture, batch.query_flow, seed)
        return found

    def _with_sum(self, parts: dict[str, Float[Tensor, ""]]) -> dict[str, Float[Tensor, ""]]:
        counted = {
            "weighted_nll" if self.recipe.beta else "nll": 1.0,
            "pair": self.recipe.pair_weight,
            "mode": self.recipe.mode_weight,
        }
        loss = torch.stack([parts[n] * weight for n, weight in counted.items() if n in parts]).sum()
        return parts | {"loss": loss}

    def _encoder_losses(
        self,
        batch: Batch,
        features: Float[Tensor, "b d gh gw"],
        cells: Float[Tensor, "b c gh gw"] | None,
    ) -> dict[str, Float[Tensor, ""]]:
        """`pair`, and `mode` where the camera stands still: it moves all else."""
        found = {}
        if self.pair_loss is not None:
            found["pair"] = self.pair_loss(features, batch.pair_pos, batch.pair_bodies)
        if self.modes is not None and cells is not None and self.recipe.mode_weight > 0:
            values = sample_features(cells, batch.pair_pos)
            flow = batch.pair_flow * batch.camera_static[:, None, None]
            flow = rearrange(flow, "(b m) p xy -> b m p xy", b=len(batch.images))
            found["mode"] = mode_loss(self.modes, values, batch.pair_pos, flow, batch.pair_bodies)
        return found

    def predict(
        self, batch: Batch, images: Float[Tensor, "b 3 s s"]
    ) -> tuple[EmbeddedImage, MotionMixture]:
        """The batch's questions about `images`: mixtures [m, L, n]."""
        with self._autocast():
            embedded = self.model.embed_image(images)
            mixture = self.model.query_causal(
                batch.poke_pos, batch.poke_flow, batch.query_pos, batch.camera_static, embedded
            )
        return embedded, mixture

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.model.device.type, torch.bfloat16, enabled=self.in_bfloat16)


@torch.no_grad()
def uncertainty_weight(mixture: MotionMixture, beta: float) -> Float[Tensor, "m L n"]:
    """What each point's log-likelihood counts: its predicted deviation to the power `beta`.

    The slope of the likelihood is one over that deviation: points that surely stay would drown
    those that nobody knows yet (Seitzer et al., "On the Pitfalls of Heteroscedastic Uncertainty
    Estimation with Probabilistic Neural Networks", arXiv 2203.09168).
    """
    variance = mixture.covariance.diagonal(dim1=-2, dim2=-1).sum(-1) / 2
    return (variance.sqrt() / USUAL_DEVIATION).clamp(*WEIGHTS) ** beta


@torch.no_grad()
def motion_errors(
    mixture: MotionMixture, flow: Float[Tensor, "m L n 2"], seed: int
) -> dict[str, Float[Tensor, ""]]:
    """How far a sample of each point's distribution is off: EPE, and PCK at each distance."""
    generator = torch.Generator().manual_seed(seed)
    off = (mixture.sample(1, generator)[0] - flow).norm(dim=-1)
    return {"epe": off.mean()} | {f"pck_{d}": (off < d).double().mean() for d in PCK}
