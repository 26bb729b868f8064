# SPDX-License-Identifier: Apache-2.0
"""Times of several ways of doing a thing, and the memory it takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from fpt_ros.model import FlowPokeTransformer


def interleaved_times(
    ways: Mapping[str, Callable[[], object]], seconds: float, turn: float = 0.25
) -> dict[str, float]:
    """The median time of each way [s]: they take turns until `seconds` are over.

    So all share whatever else the machine does. A turn is as many runs as fit into `turn` seconds,
    at least one; there are two turns at least. The very first run of each way does not count,
    unless it has but two.
    """
    times: dict[str, list[float]] = {name: [] for name in ways}
    end = time.monotonic() + seconds
    turns = 0
    while turns < 2 or time.monotonic() < end:
        turns += 1
        for name, way in ways.items():
            enough = time.monotonic() + turn
            while len(times[name]) < turns or time.monotonic() < enough:
                times[name].append(_time(way))
    return {name: statistics.median(t[1:] if len(t) > 2 else t) for name, t in times.items()}


def _time(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


@torch.inference_mode()
def read_weights(model: FlowPokeTransformer) -> None:
    """Read all that one query needs once: the lower bound of its time is memory bandwidth."""
    for part in (model.transformer, model.input_mlp, model.out_mlp):
        for name, weight in part.named_parameters():
            if not any(of_image in name for of_image in ("cross_kv", "cross_out", "norm.linear")):
                weight.sum()


def peak_memory(work: Callable[[], object]) -> float:
    """Most memory that the process holds while it works, beyond what it held before [MB]."""
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    work()
    return _memory("VmHWM") - before


def _memory(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024
