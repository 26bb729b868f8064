# SPDX-License-Identifier: Apache-2.0
"""Who sees whom: pokes see earlier pokes, queries see pokes and themselves, all see the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

_ROWS_AT_ONCE = 128  # so that their scores stay in the cache


class KeysValues(NamedTuple):
    """What an attention looks up, ready to use: keys are normalised and rotated."""

    keys: Float[Tensor, "b h n c"]
    values: Float[Tensor, "b h n c"]


def attend(
    q: Float[Tensor, "b h q c"],
    keys: Float[Tensor, "b h n c"],
    values: Float[Tensor, "b h n c"],
    scale: float,
) -> Float[Tensor, "b h q c"]:
    """softmax(scale * q keys^T) values: every query sees every key.

    PyTorch's own kernel does not use a CPU's bfloat16 units, in training as little as in
    inference; its matrix products do.
    """
    if q.device.type == "cpu" and q.dtype == torch.bfloat16:
        q, keys, values = (scale * q).contiguous(), keys.contiguous(), values.contiguous()
        parts = q.split(_ROWS_AT_ONCE, 2)
        return torch.cat([(part @ keys.mT).softmax(-1) @ values for part in parts], 2)
    return F.scaled_dot_product_attention(q, keys, values, scale=scale)


def attend_masked(
    q: Float[Tensor, "b h l c"], tokens: KeysValues, mask: Bool[Tensor, "*#b l n"] | None
) -> Float[Tensor, "b h l c"]:
    """Tokens attend to those that the mask says; None: to themselves and earlier ones."""
    if mask is not None:
        mask = mask[..., None, :, :]
    return F.scaled_dot_product_attention(q, *tokens, mask, is_causal=mask is None, scale=1.0)


def attend_to_earlier(
    q: Float[Tensor, "b h n c"], pokes: KeysValues, earlier: int
) -> Float[Tensor, "b h n c"]:
    """New pokes attend to the `earlier` ones before them and, in their order, to themselves."""
    if not earlier:
        return attend_masked(q, pokes, None)
    if q.shape[2] == 1:
        return F.scaled_dot_product_attention(q, *pokes, scale=1.0)
    order = torch.arange(pokes.keys.shape[2], device=q.device)
    return attend_masked(q, pokes, order <= order[earlier:, None])


def attend_to_pokes_and_self(
    q: Float[Tensor, "b h q c"],
    own: KeysValues,
    pokes: KeysValues,
    lengths: Int[Tensor, "#b #q"] | None,
) -> Float[Tensor, "b h q c"]:
    """Each query attends to the first `lengths` pokes (None: all) and to itself.

    That is P + 1 keys a query, never all pairs, in operations that do not depend on any value.
    """
    to_pokes = (q @ pokes.keys.mT).float()
    if lengths is not None:
        order = torch.arange(pokes.keys.shape[2], device=q.device)
        to_pokes = to_pokes.masked_fill((order >= lengths[..., None])[:, None], -torch.inf)
    to_self = (q * own.keys).sum(-1, keepdim=True).float()
    share = torch.cat([to_pokes, to_self], -1).softmax(-1).to(q.dtype)
    return share[..., :-1] @ pokes.values + share[..., -1:] * own.values


def attend_to_image(q: Float[Tensor, "b h l c"], image: KeysValues) -> Float[Tensor, "b h l c"]:
    """Attention to the image's tokens; consecutive rows of a batch may share one image.

    They are joined into one longer sequence, so that its keys and values are read once and never
    copied.
    """
    images, (rows, heads, length, channels) = len(image.keys), q.shape
    if images == rows:
        return attend(q, *image, scale=1.0)
    joined = q.unflatten(0, (images, rows // images)).transpose(1, 2).flatten(2, 3)
    out = attend(joined, *image, scale=1.0).unflatten(2, (rows // images, length))
    return out.transpose(1, 2).reshape(rows, heads, length, channels)
