# SPDX-License-Identifier: Apache-2.0
"""How many threads a request runs on."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fpt_ros.model import ModelConfig

_NARROW, _LITTLE = 384, 2**21
"""A transformer up to so wide has weights that a core's own cache holds; and tokens times width
squared up to which waking other threads, for each operation anew, takes longer than they save."""


@contextmanager
def threads_for(config: ModelConfig, tokens: int) -> Iterator[None]:
    """One thread for few tokens of a small transformer; else as many as PyTorch has."""
    before = torch.get_num_threads()
    few = config.width <= _NARROW and tokens * config.width**2 <= _LITTLE
    if not few or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
