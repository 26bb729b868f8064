"""What is watched during training: the losses on unseen scenes, and without their picture.

A model can look good on its likelihood and still ignore the picture. So every loss is also taken
with the pictures exchanged between the scenes: where the two are equal, the model is worthless.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from fpt_ros.training.batches import Batch, Sampling, draw_batch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from fpt_ros.model import FlowPokeTransformer
    from fpt_ros.training.pair_loss import PairLoss
    from fpt_ros.training.scenes import Scene

BATCHES = 6
SAMPLING = Sampling(
    images=16, motions=1, pokes=2, queries=64, body_share=0.0, static_poke=0.0, augment=False
)


def losses(
    model: FlowPokeTransformer,
    pair_loss: PairLoss,
    batch: Batch,
    images: Float[Tensor, "b 3 s s"],
) -> dict[str, float]:
    """Negative log-likelihood with no and with one poke, and the pair loss, given ``images``."""
    embedded = model.embed_image(images)
    mixture = model.query_causal(batch.poke_pos, batch.poke_flow, batch.query_pos, True, embedded)
    no_poke, one_poke = -mixture.log_prob(batch.query_flow).mean((0, 2))
    pair = pair_loss(embedded.features, batch.pair_pos, batch.pair_bodies)
    return {"no_poke": no_poke.item(), "one_poke": one_poke.item(), "pair": pair.item()}


@torch.no_grad()
def validate(
    model: FlowPokeTransformer, pair_loss: PairLoss, scenes: list[Scene]
) -> dict[str, float]:
    """The losses on the same draws from ``scenes`` every time, and with pictures shuffled."""
    model.eval()
    found: dict[str, list[float]] = {}
    for index in range(BATCHES):
        batch = draw_batch(scenes, SAMPLING, np.random.default_rng(index))
        right = losses(model, pair_loss, batch, batch.images)
        wrong = losses(model, pair_loss, batch, batch.images.roll(1, 0))
        for name, value in right.items():
            found.setdefault(name, []).append(value)
            found.setdefault(f"{name}_shuffled", []).append(wrong[name])
    return {name: float(np.mean(values)) for name, values in found.items()}
