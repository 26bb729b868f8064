# SPDX-License-Identifier: Apache-2.0
"""The weights to use: an exponential average over the last steps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from fpt_ros.model import FlowPokeTransformer

Tensors = tuple[Tensor, ...] | list[Tensor]


def averaged(model: FlowPokeTransformer, decay: float) -> AveragedModel:
    """A copy of the model that follows it, closely in the first steps."""
    return AveragedModel(model, multi_avg_fn=_update(decay))


def _update(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    def update(averaged: Tensors, current: Tensors, count: Tensor | int) -> None:
        now = min(decay, (1 + int(count)) / (10 + int(count)))
        torch._foreach_lerp_(averaged, current, 1 - now)

    return update
