"""Several training processes as one: `torchrun` starts them, gloo averages their gradients.

On CPUs, processes of one thread each are several times as fast as one process of many threads.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch
from torch import distributed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jaxtyping import Float
    from torch import Tensor


def join_processes() -> tuple[int, int]:
    """This process's rank and the number of processes; (0, 1) where `torchrun` started none."""
    if "RANK" not in os.environ:
        return 0, 1
    distributed.init_process_group("gloo")
    return distributed.get_rank(), distributed.get_world_size()


def leave_processes() -> None:
    """The end of `join_processes`."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def average(tensors: Iterable[Float[Tensor, "..."]]) -> None:
    """Replace each tensor by its mean over all processes, in one exchange."""
    if not distributed.is_initialized():
        return
    tensors = list(tensors)
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    parts = flat.split([tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view_as(tensor))


def average_number(value: float) -> float:
    """Mean of a number over all processes."""
    tensor = torch.tensor([value], dtype=torch.float64)
    average([tensor])
    return tensor.item()
