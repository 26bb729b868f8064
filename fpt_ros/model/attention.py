"""Attention to all of some tokens, in the way that is fastest where it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float

_ROWS_AT_ONCE = 128  # so that their scores stay in the cache


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
