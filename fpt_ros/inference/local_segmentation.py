# SPDX-License-Identifier: Apache-2.0
"""The moving part in a fraction of the time of `Predictor.segment`: asked where it is.

A coarse grid over the image finds where the part about the pokes lies, a finer one its outline.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fpt_ros.inference.moving_part import divergence, moving_part, moving_probability

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float64

    from fpt_ros.inference.context import ImageContext
    from fpt_ros.inference.predictor import Predictor
    from fpt_ros.inference.steps import Steps

    Pokes = Float[np.ndarray, "p 4"]

COARSE, FINE = 10, 12
"""Points along each side of the two grids."""


@dataclasses.dataclass(frozen=True)
class PokedPart:
    """A part that pokes move, and the predicted motion of some of its points, pixels."""

    mask: Bool[np.ndarray, "h w"]
    points: Float64[np.ndarray, "n 2"]
    mean: Float64[np.ndarray, "n 2"]
    covariance: Float64[np.ndarray, "n 2 2"]


@dataclasses.dataclass(frozen=True)
class _Grid:
    """Points in rows and columns, and what was answered for each; row by row."""

    x: Float[np.ndarray, " columns"]
    y: Float[np.ndarray, " rows"]
    moves: Bool[np.ndarray, "rows columns"]
    points: Float64[np.ndarray, "n 2"]
    mean: Float64[np.ndarray, "n 2"]
    covariance: Float64[np.ndarray, "n 2 2"]


def poked_part_steps(
    predictor: Predictor, context: ImageContext, pokes: Pokes, camera_moving: bool = False
) -> Steps[PokedPart]:
    """The part about the pokes, in two steps. Its mask is empty where the model sees none.

    A second part that would move along elsewhere is not in the mask, as the first is all that the
    pokes are known to be on.

    Raises:
        ValueError: as `Predictor.predict`.
    """
    size = np.array([context.width, context.height])
    coarse = _ask(predictor, context, pokes, camera_moving, (0, 0), size, COARSE)
    yield
    near = _touched(coarse, pokes)
    cell = size / COARSE
    places = np.vstack([near, pokes[:, :2]])
    low = np.clip(np.floor(places.min(0) - cell), 0, size - 1)
    high = np.clip(np.ceil(places.max(0) + cell), low + 1, size)
    fine = _ask(predictor, context, pokes, camera_moving, low, high, FINE)
    yield
    inside = fine.moves.ravel()
    mask = _connected(_filled(fine, context.width, context.height, low, high), pokes)
    return PokedPart(mask, fine.points[inside], fine.mean[inside], fine.covariance[inside])


def _ask(
    predictor: Predictor,
    context: ImageContext,
    pokes: Pokes,
    camera_moving: bool,
    low: tuple[int, int] | Float[np.ndarray, " 2"],
    high: Float[np.ndarray, " 2"],
    count: int,
) -> _Grid:
    """Ask about count x count points of a box of the image [px]."""
    x, y = (a + (np.arange(count) + 0.5) * (b - a) / count - 0.5 for a, b in zip(low, high))  # noqa: B905
    x, y = np.clip(x, 0, context.width - 1), np.clip(y, 0, context.height - 1)
    points = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    poked = predictor.predict(context, pokes, points, camera_moving)
    unpoked = predictor.predict(context, pokes[:0], points, camera_moving)
    probability = moving_probability(poked, max(context.view.sides))
    moves = moving_part(divergence(poked, unpoked), probability, predictor.motion_threshold)
    mean, covariance = np.asarray(poked.mean), np.asarray(poked.covariance)
    return _Grid(x, y, moves.numpy().reshape(count, count), points, mean, covariance)


def _touched(grid: _Grid, pokes: Pokes) -> Float[np.ndarray, "n 2"]:
    """The moving points of the grid that hang together with a poke's cell."""
    _, labels = cv2.connectedComponents(grid.moves.astype(np.uint8))
    columns = np.abs(grid.x - pokes[:, :1]).argmin(1)
    rows = np.abs(grid.y - pokes[:, 1:2]).argmin(1)
    grown = cv2.dilate(labels.astype(np.float32), np.ones((3, 3), np.uint8)).astype(int)
    wanted = set(grown[rows, columns].tolist()) - {0}
    return grid.points[np.isin(labels.ravel(), list(wanted))]


def _filled(
    grid: _Grid,
    width: int,
    height: int,
    low: Float[np.ndarray, " 2"],
    high: Float[np.ndarray, " 2"],
) -> Bool[np.ndarray, "h w"]:
    """From the grid's points to pixels, linearly."""
    (left, top), (right, bottom) = low.astype(int), high.astype(int)
    shown = (right - left, bottom - top)
    share = cv2.resize(grid.moves.astype(np.float32), shown, interpolation=cv2.INTER_LINEAR)
    mask = np.zeros((height, width), bool)
    mask[top:bottom, left:right] = share > 0.5
    return mask


def _connected(mask: Bool[np.ndarray, "h w"], pokes: Pokes) -> Bool[np.ndarray, "h w"]:
    """What hangs together with the pokes; all of it where no poke lies on it."""
    _, labels = cv2.connectedComponents(mask.astype(np.uint8))
    height, width = mask.shape
    x = np.clip(np.round(pokes[:, 0]).astype(int), 0, width - 1)
    y = np.clip(np.round(pokes[:, 1]).astype(int), 0, height - 1)
    wanted = set(labels[y, x].tolist()) - {0}
    return np.isin(labels, list(wanted)) if wanted else mask
