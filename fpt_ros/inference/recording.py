# SPDX-License-Identifier: Apache-2.0
"""Work on tensors in fixed places, recorded as CUDA graphs."""

from __future__ import annotations

import dataclasses
import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fpt_ros.model import EmbeddedImage, MotionMixture
from fpt_ros.model.attention import KeysValues

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_RECORDINGS = 64
"""That are kept: each has buffers of its own for a request; the rest of their memory is shared."""
WARM_UP = 3
"""Runs before the recording: libraries choose their kernels in them, which no graph can hold."""


class Recording:
    """Work that can be repeated on whatever lies in its inputs. Without CUDA it is simply done."""

    def __init__(
        self, work: Callable[[], MotionMixture], inputs: Any, device: torch.device, pool: Any
    ) -> None:
        self.inputs = inputs
        self._work, self._graph = work, None
        if device.type != "cuda":
            return
        side = torch.cuda.Stream(device)
        side.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                work()
        torch.cuda.current_stream(device).wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, pool=pool):
            self._result = work()

    def replay(self) -> MotionMixture:
        """The result of the work now; good until any recording is replayed."""
        if self._graph is None:
            return self._work()
        self._graph.replay()
        return self._result


class Recorder:
    """The newest recordings by what they are of."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._recordings: dict[Any, Recording] = {}
        self._pool = torch.cuda.graph_pool_handle() if device.type == "cuda" else None

    def __len__(self) -> int:
        return len(self._recordings)

    def get(
        self, key: Any, begin: Callable[[], tuple[Callable[[], MotionMixture], Any]]
    ) -> Recording:
        """The recording of that key; `begin` gives the work and its inputs if it is new."""
        recording = self._recordings.pop(key, None)
        if recording is None:
            if len(self._recordings) >= MOST_RECORDINGS:
                del self._recordings[next(iter(self._recordings))]  # used longest ago
            recording = Recording(*begin(), self._device, self._pool)
        self._recordings[key] = recording
        return recording


class ImageSlot:
    """Where recorded work looks for an embedded image; the one that is asked about is put there."""

    def __init__(self, like: EmbeddedImage) -> None:
        self._place = _copy(like)
        self._held = weakref.ref(like)

    def put(self, image: EmbeddedImage) -> EmbeddedImage:
        """The image in its fixed place, copied unless it is there already."""
        if self._held() is not image:
            torch._foreach_copy_(_tensors(self._place), _tensors(image))
            self._held = weakref.ref(image)
        return self._place


def _copy(image: EmbeddedImage) -> EmbeddedImage:
    copies = iter([tensor.clone() for tensor in _tensors(image)])
    fields: dict[str, Any] = {}
    for name, value in vars(image).items():
        if isinstance(value, Tensor):
            fields[name] = next(copies)
        else:
            fields[name] = tuple(KeysValues(next(copies), next(copies)) for _ in value)
    return dataclasses.replace(image, **fields)


def _tensors(image: EmbeddedImage) -> list[Tensor]:
    """All that it consists of, in the order of its fields."""
    found: list[Tensor] = []
    for value in vars(image).values():
        found += [value] if isinstance(value, Tensor) else [part for kv in value for part in kv]
    return found
