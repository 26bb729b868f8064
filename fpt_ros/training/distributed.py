# SPDX-License-Identifier: Apache-2.0
"""Several training processes as one: `torchrun` starts them, on one machine or several.

On CPUs, processes of one thread each are several times as fast as one process of many threads.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Processes:
    """This process among all that train together."""

    rank: int = 0
    count: int = 1
    device: torch.device = CPU

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and shows."""
        return self.rank == 0

    def sum(self, numbers: list[float]) -> list[float]:
        """The sums over all processes."""
        if self.count == 1:
            return numbers
        tensor = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        distributed.all_reduce(tensor)
        return tensor.tolist()

    def any(self, flag: bool) -> bool:
        """Whether it is so in any process."""
        return self.sum([float(flag)])[0] > 0

    def gather(self, thing: Any) -> list[Any]:
        """Every process's own, by rank. Things are pickled among the processes of one training."""
        if self.count == 1:
            return [thing]
        gathered: list[Any] = [None] * self.count
        distributed.all_gather_object(gathered, thing)
        return gathered


@contextmanager
def joined_processes(device: str = "auto") -> Iterator[Processes]:
    """Join the processes that `torchrun` has started; alone where it has not.

    Args:
        device: `auto` (CUDA where there is one), `cpu` or `cuda`.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
    where = torch.device(device)
    if where.type == "cuda":
        torch.cuda.set_device(where)
    if "RANK" not in os.environ:
        yield Processes(device=where)
        return
    distributed.init_process_group("nccl" if where.type == "cuda" else "gloo")
    yield Processes(distributed.get_rank(), distributed.get_world_size(), where)
    # Not after an error: the others may be waiting for this one, and torchrun ends them.
    distributed.destroy_process_group()
