# SPDX-License-Identifier: Apache-2.0
"""Whether bfloat16 is faster: on CPUs it can double the speed, or take ten times as long."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch.utils.benchmark import Timer

CLEARLY = 1.2  # times as fast, or it is not worth less exact gradients


@functools.cache
def bfloat16_pays(device: torch.device) -> bool:
    """Whether matrix products take clearly less time than in float32. CPUs are timed, once."""
    if device.type != "cpu":
        return True
    return CLEARLY * _seconds(torch.bfloat16) < _seconds(torch.float32)


def _seconds(dtype: torch.dtype) -> float:
    """That a product takes on one thread."""
    product = Timer(
        "linear(a, a)", globals={"linear": F.linear, "a": torch.ones(512, 512, dtype=dtype)}
    )
    return product.blocked_autorange(min_run_time=0.05).median
