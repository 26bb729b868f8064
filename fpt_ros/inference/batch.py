# SPDX-License-Identifier: Apache-2.0
"""Several requests in one batch: those that are alike run through the model together."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from fpt_ros.inference.blocks import empty_mixture, join_blocks, predict_blocks
from fpt_ros.inference.buckets import bucket
from fpt_ros.inference.context import ImageContext
from fpt_ros.inference.cuda_graphs import CudaGraphs
from fpt_ros.inference.inputs import checked_points, checked_pokes, pokes_to_unit
from fpt_ros.inference.transfer import to_cpu, to_device
from fpt_ros.model import FlowPokeTransformer, MotionMixture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float64, Int64
    from numpy.typing import ArrayLike


@dataclasses.dataclass(frozen=True)
class MotionRequest:
    """How points of an image move, given pokes; all in its pixels."""

    context: ImageContext
    pokes: ArrayLike | Tensor
    """[p, 4]: x, y, dx, dy."""
    points: ArrayLike | Tensor
    """[n, 2]."""
    camera_moving: bool = False

    def in_units(self) -> tuple[Float64[Tensor, "p 4"], Float64[Tensor, "n 2"]]:
        """Different pokes, and points, in the model's units.

        Raises:
            ValueError: as `Predictor.predict`.
        """
        view = self.context.view
        pokes, points = checked_pokes(self.pokes, view), checked_points(self.points, view)
        return pokes_to_unit(pokes, view), view.to_unit(points)


def predict_together(
    model: FlowPokeTransformer | CudaGraphs,
    requests: Sequence[MotionRequest],
    inputs: Sequence[tuple[Float64[Tensor, "p 4"], Float64[Tensor, "n 2"]]],
) -> list[MotionMixture]:
    """The answers on the CPU, as `Predictor.predict_batch` gives them.

    Requests on one image with about as many pokes and points are rows of one batch, padded to the
    longest. There is one copy to the device and one wait for it, however many requests there are.

    Args:
        inputs: what `in_units` gives for each request.
    """
    on_device = to_device([tensor for pair in inputs for tensor in pair], model.device)
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, (request, (pokes, points)) in enumerate(zip(requests, inputs, strict=True)):
        key = (id(request.context), request.camera_moving, *_size(pokes), *_size(points))
        groups.setdefault(key, []).append(i)
    fields: list[Tensor] = []
    recording = torch.is_grad_enabled() and any(t.requires_grad for t in on_device)
    with torch.inference_mode(not recording):
        for members in groups.values():
            each_pokes, each_points = ([on_device[2 * i + j] for i in members] for j in (0, 1))
            rows, at, one = _padded(each_pokes), _padded(each_points), requests[members[0]]
            found = predict_blocks(
                model, one.context, rows, at, one.camera_moving, _lengths(each_pokes)
            )
            empty = empty_mixture(len(rows), model.config.components)
            fields += vars(join_blocks(found) if at.shape[1] else empty).values()
    copied = iter(to_cpu(fields))
    answers: dict[int, MotionMixture] = {}
    for members in groups.values():
        together = MotionMixture(next(copied), next(copied), next(copied))
        for place, i in enumerate(members):
            answers[i] = together[place, : len(inputs[i][1])]
    return [answers[i] for i in range(len(requests))]


def _size(rows: Tensor) -> tuple[bool, int]:
    """Whether there are any, and their number to the next power of two."""
    return len(rows) > 0, bucket(len(rows))


def _padded(each: list[Float64[Tensor, "_ c"]]) -> Float64[Tensor, "b n c"]:
    return pad_sequence(each, batch_first=True)


def _lengths(each: list[Float64[Tensor, "_ c"]]) -> Int64[Tensor, "b 1"] | None:
    """How many rows each has; None if all have as many."""
    lengths = [len(rows) for rows in each]
    if len(set(lengths)) == 1:
        return None
    return torch.tensor(lengths, device=each[0].device)[:, None]
