# SPDX-License-Identifier: Apache-2.0
"""The moving part at every pixel: asked on a grid of points, interpolated between them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import torch

from fpt_ros.inference.blocks import POINTS_AT_ONCE
from fpt_ros.inference.context import ImageContext, UnpokedField
from fpt_ros.inference.moving_part import divergence, moving_part, moving_probability
from fpt_ros.model.mixture import join_mixtures

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Bool, Float, Float32, Float64
    from torch import Tensor

    from fpt_ros.inference.steps import Steps
    from fpt_ros.inference.view import View
    from fpt_ros.model import MotionMixture

CELLS = 64
"""Of the grid along the view's side, at most."""
CELLS_BESIDE = 16
"""Beside the view on each side, at most: there the model only extrapolates."""
MOST_POINTS = CELLS**2


@dataclasses.dataclass(frozen=True)
class MovingPart:
    """What moves along with some pokes, at every pixel of the image."""

    divergence: Float32[np.ndarray, "h w"]
    """How much the pokes change what the pixel may do: KL divergence of the poked from the unpoked
    distribution, nats."""
    moves: Bool[np.ndarray, "h w"]
    """Whether it belongs to the moving part (see `fpt_ros.inference.moving_part`)."""


@torch.no_grad()
def segmentation_steps(
    poked: Callable[[Float64[np.ndarray, "n 2"]], MotionMixture],
    unpoked: Callable[[Float64[np.ndarray, "n 2"]], MotionMixture],
    context: ImageContext,
    camera_moving: bool,
    threshold: float,
    max_points: int = MOST_POINTS,
) -> Steps[MovingPart]:
    """Segment an image in steps of bounded time and memory, see `Predictor.segment`.

    Args:
        poked: the mixtures [n] of n points given the pokes, pixels, on the model's device.
        unpoked: likewise without pokes; what it gives for the grid is kept in the context.
        threshold: nats.
        max_points: of the grid; neither more nor more than `MOST_POINTS` are asked, each with
            and without pokes.

    Raises:
        ValueError: no point at all is allowed.
    """
    x, y = grid_lines(context.view, max_points)
    points = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    base = yield from _unpoked_field(unpoked, points, context.unpoked, camera_moving)
    found = []
    for start in range(0, len(points), POINTS_AT_ONCE):
        part = slice(start, start + POINTS_AT_ONCE)
        motion = poked(points[part])
        probability = moving_probability(motion, max(context.view.sides))
        found.append(torch.stack([divergence(motion, base[part]), probability]))
        yield
    grid = torch.cat(found, 1).cpu().float().reshape(2, len(y), len(x))
    per_pixel = _interpolate(_interpolate(grid, y, context.height, 1), x, context.width, 2)
    moves = moving_part(per_pixel[0], per_pixel[1], threshold)
    return MovingPart(per_pixel[0].numpy(), moves.numpy())


def _unpoked_field(
    unpoked: Callable[[Float64[np.ndarray, "n 2"]], MotionMixture],
    points: Float64[np.ndarray, "n 2"],
    kept: dict[bool, UnpokedField],
    camera_moving: bool,
) -> Steps[MotionMixture]:
    """The motion of the points without pokes, asked only if the kept one is of other points."""
    field = kept.get(camera_moving)
    if field is None or not np.array_equal(field.points, points):
        parts = []
        for start in range(0, len(points), POINTS_AT_ONCE):
            parts.append(unpoked(points[start : start + POINTS_AT_ONCE]))
            yield
        field = kept[camera_moving] = UnpokedField(points, join_mixtures(parts))
    return field.motion


def grid_lines(
    view: View, max_points: int = MOST_POINTS
) -> tuple[Float[np.ndarray, "columns"], Float[np.ndarray, "rows"]]:
    """Where the columns and rows of the grid lie, pixels: as close as the number of points allows.

    In the view, cells are squares of the view's side over `CELLS` or somewhat larger. Beside it
    (with the fit `crop`) the model sees nothing and extrapolates, the further the less it can
    know; cells there are as large, or larger where the picture is long: the most of them are
    `CELLS_BESIDE` on each side, in proportion.

    Raises:
        ValueError: no point is allowed.
    """
    if max_points < 1:
        raise ValueError(f"max_points is {max_points}: must be at least 1")
    for cells in range(CELLS, 0, -1):
        x = _lines(view.width, view.corner[0], view.sides[0], cells)
        y = _lines(view.height, view.corner[1], view.sides[1], cells)
        if len(x) * len(y) <= min(max_points, MOST_POINTS):
            break
    return x, y


def _lines(length: int, corner: int, side: int, cells: int) -> Float[np.ndarray, "n"]:
    """The centres of cells along one side of the picture.

    Args:
        length: of the picture, pixels.
        corner: where the view begins.
        side: of the view.
        cells: along all of the view.
    """
    start, end = max(corner, 0), min(corner + side, length)  # the part that the view shows
    parts = ((0, start), (start, end), (end, length))
    beside = round(CELLS_BESIDE * cells / CELLS)
    lines = []
    for (first, last), least, most in zip(parts, (0, 1, 0), (beside, cells, beside), strict=True):
        pixels = last - first
        count = min(max(round(pixels * cells / side), least), most, pixels)
        lines.append(first + (np.arange(count) + 0.5) * pixels / max(count, 1) - 0.5)
    return np.concatenate(lines)


def _interpolate(
    grid: Float[Tensor, "..."], lines: Float[np.ndarray, "n"], pixels: int, dim: int
) -> Float[Tensor, "..."]:
    """From the grid's lines to all pixels of a side, linearly; beyond the last line, its value."""
    at = np.interp(np.arange(pixels), lines, np.arange(len(lines)))
    below = torch.from_numpy(at.astype(int))
    above = (below + 1).clamp(max=len(lines) - 1)
    share = torch.from_numpy((at % 1).astype(np.float32))
    share = share.view([-1 if d == dim else 1 for d in range(grid.ndim)])
    return torch.lerp(grid.index_select(dim, below), grid.index_select(dim, above), share)
