"""The plain forward pass: the same network and weights, but nothing is kept and nothing packed.

This is what the benchmark's ratios are against. Every call runs the encoder, each layer's keys and
values of the image, the norms' gains, and all tokens at once under one dense mask, through
PyTorch's own linear layers, as a direct implementation of the paper does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from fpt_ros.model import FlowPokeTransformer, MotionMixture
from fpt_ros.model.config import HEAD_WIDTH
from fpt_ros.model.transformer import Layer

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


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

    `model` must not have packed weights, see `plain_copy`.
    """
    features = model.image_embedder(images)
    image_tokens = features.flatten(2).mT
    pos = torch.cat([poke_pos, query_pos], 1)
    modes = None if model.modes is None else model.modes(features)
    guess = model.guess(poke_pos, poke_flow, query_pos, modes)
    x = model.tokens(pos, poke_flow, guess, features.float())
    condition = model.cond_emb(torch.tensor([int(camera_static)], device=x.device))
    angles = _angles(model, pos), _angles(model, _cell_centres(features))
    mask = _mask(poke_pos.shape[1], query_pos.shape[1]).to(x.device)
    for layer in model.transformer.layers:
        x = _layer(cast(Layer, layer), x, image_tokens, condition, *angles, mask)
    return model.mixture(model.out_mlp(x[:, poke_pos.shape[1] :]), guess)


def plain_copy(model: FlowPokeTransformer) -> FlowPokeTransformer:
    """A model of the same weights (no second copy of them), none of its layers packed."""
    copy = FlowPokeTransformer(model.config)
    copy.load_state_dict(model.state_dict(), assign=True)
    return copy.eval()


def _layer(
    layer: Layer,
    x: Float[Tensor, "1 l w"],
    image: Float[Tensor, "1 n d"],
    condition: Float[Tensor, "1 w"],
    angles: Float[Tensor, "1 h l a"],
    image_angles: Float[Tensor, "1 h n a"],
    mask: Bool[Tensor, "l l"],
) -> Float[Tensor, "1 l w"]:
    normed = F.rms_norm(x, x.shape[-1:], eps=1e-6) * layer.self_norm.gain(condition)
    q, k, v = (_heads(part) for part in layer.self_qkv(normed).chunk(3, -1))
    q, k = (_rotated(_scaled(part, layer.self_scale), angles) for part in (q, k))
    attended = F.scaled_dot_product_attention(q, k, v, mask, scale=1.0)
    x = x + layer.self_out(attended.transpose(1, 2).flatten(2))

    normed = F.rms_norm(x, x.shape[-1:], eps=1e-6) * layer.cross_norm.gain(condition)
    q = _rotated(_scaled(_heads(layer.cross_q(normed)), layer.cross_scale), angles)
    k, v = (_heads(part) for part in layer.cross_kv(image).chunk(2, -1))
    k = _rotated(_scaled(k, layer.cross_scale), image_angles)
    attended = F.scaled_dot_product_attention(q, k, v, scale=1.0)
    x = x + attended.transpose(1, 2).flatten(2)

    normed = F.rms_norm(x, x.shape[-1:], eps=1e-6) * layer.ffn_norm.gain(condition)
    values, gates = layer.ffn_up(normed).chunk(2, -1)
    return x + layer.ffn_down(values * F.silu(gates))


def _heads(x: Float[Tensor, "1 n w"]) -> Float[Tensor, "1 h n c"]:
    return x.unflatten(-1, (-1, HEAD_WIDTH)).transpose(1, 2)


def _scaled(x: Float[Tensor, "1 h n c"], scale: Float[Tensor, "h"]) -> Tensor:
    v = x.float()
    length = (v.square().sum(-1, keepdim=True) + 1e-6).sqrt()
    return (v * ((scale.float().abs() + 1e-6).sqrt()[:, None, None] / length)).to(x.dtype)


def _rotated(x: Float[Tensor, "1 h n c"], angles: Float[Tensor, "1 h n a"]) -> Tensor:
    a, b = x.float().chunk(2, -1)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1).to(x.dtype)


def _angles(model: FlowPokeTransformer, pos: Float[Tensor, "1 n 2"]) -> Float[Tensor, "1 h n a"]:
    x, y = (pos * 2 - 1)[:, None, :, :, None].unbind(-2)
    freqs = model.transformer.pos_emb.freqs[:, :, None]
    return torch.cat([y * freqs[1], x * freqs[0]], -1)


def _cell_centres(features: Float[Tensor, "1 d gh gw"]) -> Float[Tensor, "1 n 2"]:
    device = features.device
    rows, columns = ((torch.arange(n, device=device) + 0.5) / n for n in features.shape[-2:])
    x, y = torch.meshgrid(columns, rows, indexing="xy")
    return torch.stack([x, y], -1).reshape(1, -1, 2)


def _mask(pokes: int, queries: int) -> Bool[Tensor, "l l"]:
    """Over all pairs of tokens: pokes see earlier pokes, queries see pokes, all see themselves."""
    column = torch.arange(pokes + queries)
    row = column[:, None]
    return (column == row) | ((column < row) & (column < pokes))
