"""Joint futures of many points: each is drawn given the points before it, one point a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from fpt_ros.model import MotionMixture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Float32, Int

    from fpt_ros.inference.steps import Steps

TOKENS_AT_ONCE = 16384
"""Pokes and points of all samples that are drawn together: what is kept of each takes memory."""

Draw = Callable[[MotionMixture], torch.Tensor]


@torch.inference_mode()
def sampling_steps(
    begin: Callable[[int, Int[np.ndarray, "n"], Draw], Iterator[torch.Tensor]],
    pokes: int,
    points: int,
    samples: int,
    seed: int | None,
    unit: Float32[np.ndarray, "2"],
) -> Steps[Float32[np.ndarray, "s n 2"]]:
    """Sample in steps of bounded memory, see `Predictor.sample`; yields the points of each step.

    All random numbers are drawn beforehand, so that the seed alone decides about them.

    Args:
        begin: the flows [b, 2] of b samples, point after point in an order, each drawn by `Draw`
            from its mixture [b].
        unit: what is one unit of these flows, pixels.
    """
    generator = torch.Generator()
    generator.seed() if seed is None else generator.manual_seed(seed)
    order = torch.randperm(points, generator=generator).numpy()
    uniform = torch.rand(samples, points, generator=generator, dtype=torch.float64)
    normal = torch.randn(samples, points, 2, generator=generator, dtype=torch.float64)
    flows = np.empty((samples, points, 2), np.float32)
    together = max(1, TOKENS_AT_ONCE // (pokes + points))
    for start in range(0, samples, together):
        part = slice(start, start + together)
        numbers = zip(uniform[part].unbind(1), normal[part].unbind(1), strict=True)
        rows = len(uniform[part])

        def draw(mixture: MotionMixture, numbers=numbers) -> torch.Tensor:  # type: ignore[no-untyped-def]
            return mixture.to("cpu").draw(*next(numbers))

        for i, flow in zip(order, begin(rows, order, draw), strict=True):
            flows[part, i] = flow.cpu().numpy() * unit
            yield rows
    return flows
