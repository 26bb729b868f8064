"""The moving part at every pixel: asked on a grid of points, interpolated between them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from fpt_ros.inference.moving_part import divergence, moving_part, moving_probability
from fpt_ros.inference.view import View, grid_points

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from jaxtyping import Bool, Float, Float32

    from fpt_ros.inference.steps import Steps
    from fpt_ros.model import MotionMixture

CELLS = 64  # of the grid along the view's side
POINTS_AT_ONCE = 1024


@dataclasses.dataclass(frozen=True)
class MovingPart:
    """What moves along with some pokes, at every pixel of the image."""

    divergence: Float32[np.ndarray, "h w"]
    """How much the pokes change what the pixel may do: KL divergence of the poked from the unpoked
    distribution, nats."""
    moves: Bool[np.ndarray, "h w"]
    """Whether it belongs to the moving part (see `fpt_ros.inference.moving_part`)."""


def segmentation_steps(
    predict: Callable[[Float[np.ndarray, "n 2"]], tuple[MotionMixture, MotionMixture]],
    view: View,
    threshold: float,
) -> Steps[MovingPart]:
    """Segment an image in steps of bounded time and memory, see `Predictor.segment`.

    Args:
        predict: the mixtures [n] of n points with the pokes and without them, pixels.
        threshold: nats.
    """
    side = max(view.sides)
    columns, rows = (max(1, round(n * CELLS / side)) for n in (view.width, view.height))
    points = grid_points(view.width, view.height, columns, rows)
    found = []
    for start in range(0, len(points), POINTS_AT_ONCE):
        poked, unpoked = predict(points[start : start + POINTS_AT_ONCE])
        probability = moving_probability(poked, side)
        found.append(torch.stack([divergence(poked, unpoked), probability]))
        yield
    grid = torch.cat(found, 1).float().reshape(1, 2, rows, columns)
    size = (view.height, view.width)
    per_pixel = F.interpolate(grid, size, mode="bilinear")[0]
    moves = moving_part(per_pixel[0], per_pixel[1], threshold)
    return MovingPart(per_pixel[0].numpy(), moves.numpy())
