# SPDX-License-Identifier: Apache-2.0
"""The plain forward pass: the same network and weights, but nothing is kept and nothing packed.

This is what the benchmark's ratios are against. Every call runs the encoder, each layer's keys and
values of the image, the norms' gains, and, as the published code does, all tokens at once under
one dense mask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from fpt_ros.model import FlowPokeTransformer, MotionMixture
from fpt_ros.model.small.network import SmallFlowPokeTransformer

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor


@torch.inference_mode()
def plain_forward(
    model: FlowPokeTransformer,
    images: Float[Tensor, "1 3 h w"],
    poke_pos: Float[Tensor, "1 p 2"],
    poke_flow: Float[Tensor, "1 p 2"],
    query_pos: Float[Tensor, "1 q 2"],
    camera_static: bool,
) -> MotionMixture:
    """Mixtures [1, q]; arguments as those of `FlowPokeTransformer.predict_parallel`.

    The small model has no pass under a mask: it predicts in parallel, likewise from nothing.
    """
    image = model.embed_image(images)
    if isinstance(model, SmallFlowPokeTransformer):
        return model.predict_parallel(poke_pos, poke_flow, query_pos, camera_static, image)
    pokes, queries = poke_pos.shape[1], query_pos.shape[1]
    positions = torch.cat([poke_pos, query_pos], 1)
    flows = torch.cat([poke_flow, torch.zeros_like(query_pos)], 1)
    is_query = torch.arange(pokes + queries, device=positions.device)[None] >= pokes
    mask = _mask(pokes, queries).to(positions.device)
    return model(positions, flows, is_query, camera_static, mask, image)[:, pokes:]


def _mask(pokes: int, queries: int) -> Bool[Tensor, "l l"]:
    """Over all pairs of tokens: pokes see earlier pokes, queries see pokes, all see themselves."""
    column = torch.arange(pokes + queries)
    row = column[:, None]
    return (column == row) | ((column < row) & (column < pokes))
