# SPDX-License-Identifier: Apache-2.0
"""Joint futures of many points: each is drawn given the points before it, one point a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from fpt_ros.inference.threads import threads_for
from fpt_ros.inference.transfer import to_cpu, to_device
from fpt_ros.model import MotionMixture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Float32, Float64, Int64
    from torch import Tensor

    from fpt_ros.inference.context import ImageContext
    from fpt_ros.inference.cuda_graphs import CudaGraphs
    from fpt_ros.inference.steps import Steps
    from fpt_ros.model import FlowPokeTransformer

TOKENS_AT_ONCE = 16384
"""Pokes and points of all samples that are drawn together: what is kept of each takes memory."""

Draw = Callable[[MotionMixture], torch.Tensor]


@torch.inference_mode()
def sampling_steps(
    begin: Callable[[Float64[Tensor, "p 4"], Float64[Tensor, "b n 2"], Draw], Iterator[Tensor]],
    pokes: Float64[Tensor, "p 4"],
    points: Float64[Tensor, "n 2"],
    samples: int,
    seed: int | None,
    unit: Float32[np.ndarray, "2"],
    device: torch.device,
) -> Steps[Float32[np.ndarray, "s n 2"]]:
    """Sample in steps of bounded memory, see `Predictor.sample`; yields the points of each step.

    Each sample takes the points in an order of its own: the chain of conditional distributions
    that is drawn from depends a little on the order, and a common one would be an error that all
    samples share. Orders and random numbers are drawn beforehand on the CPU, so that the seed
    alone decides about them, on any device; flows come back in the end of each block.

    Args:
        begin: the flows [b, 2] of b samples, point after point as they are given to each, drawn
            by `Draw` from their mixture [b]; it takes and gives tensors on the device.
        pokes: as `begin` takes them, on the CPU.
        points: likewise.
        unit: what is one unit of the flows, pixels.
    """
    generator = torch.Generator()
    generator.seed() if seed is None else generator.manual_seed(seed)
    flows = np.empty((samples, len(points), 2), np.float32)
    together = max(1, TOKENS_AT_ONCE // (len(pokes) + len(points)))
    for start in range(0, samples, together):
        rows = min(together, samples - start)
        order, uniform, normal = _random_numbers(rows, len(points), generator)
        inputs = to_device([pokes, points[order], uniform, normal], device)
        numbers = zip(inputs[2].unbind(1), inputs[3].unbind(1), strict=True)

        def draw(mixture: MotionMixture, numbers=numbers) -> Tensor:  # type: ignore[no-untyped-def]
            return mixture.draw(*next(numbers))

        drawn = []
        for flow in begin(inputs[0], inputs[1], draw):
            drawn.append(flow)
            yield rows
        in_turn = to_cpu([torch.stack(drawn, 1)])[0].numpy() * unit
        np.put_along_axis(flows[start : start + rows], order.numpy()[..., None], in_turn, 1)
    return flows


def points_in_turn(
    model: FlowPokeTransformer | CudaGraphs,
    context: ImageContext,
    camera_moving: bool,
    pokes: Float64[Tensor, "p 4"],
    points: Float64[Tensor, "b n 2"],
    draw: Draw,
) -> Iterator[Float32[Tensor, "b 2"]]:
    """What `sampling_steps` begins with: each point's flow given the pokes and those before it."""
    pos, flow = pokes.float().expand(len(points), -1, -1).split(2, -1)
    steps = model.sample_in_turn(
        pos, flow, points.float(), not camera_moving, context.embedded, draw
    )
    for _ in range(points.shape[1]):
        with threads_for(model.config, 2 * len(points)):
            step = next(steps)
        yield step


def _random_numbers(
    rows: int, points: int, generator: torch.Generator
) -> tuple[Int64[Tensor, "b n"], Float64[Tensor, "b n"], Float64[Tensor, "b n 2"]]:
    """For each sample an order of the points, then what draws them, in that order.

    Sample after sample, so that it does not matter how many are drawn together.
    """
    each = [
        (
            torch.randperm(points, generator=generator),
            torch.rand(points, generator=generator, dtype=torch.float64),
            torch.randn(points, 2, generator=generator, dtype=torch.float64),
        )
        for _ in range(rows)
    ]
    order, uniform, normal = (torch.stack(part) for part in zip(*each, strict=True))
    return order, uniform, normal
