# SPDX-License-Identifier: Apache-2.0
"""What of a motion a picture shows, so that it can be read at a glance. No ROS, no torch.

Nothing is shown where nothing moves, and ellipses do not pile up. Positions and displacements are
pixels, x right, y down, (0, 0) the centre of the top-left pixel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

MIN_MOTION = 2.0
"""Pixels: a shorter mean displacement counts as staying."""
MIN_SHARE = 0.15
"""Likewise, as a share of the longest one."""
MIN_SPACING = 30.0
"""Pixels of a picture 480 high: points of a grid closer than this would hide each other."""
MAX_POINTS = 64
"""More points would be neither seen nor drawn in time."""
MAX_ELLIPSES = 24
MIN_WEIGHT = 0.05
"""Ellipses of lighter components are left out."""
FULL_RADIUS = 40.0
"""Pixels: a wider ellipse is fainter, since its probability is spread over a larger area."""
FAINTEST = 0.5


class Ellipses(NamedTuple):
    """Gaussians to be drawn, the most probable first."""

    point: Int[np.ndarray, " n"]
    component: Int[np.ndarray, " n"]
    opacity: Float[np.ndarray, " n"]


def moving(mean: Float[np.ndarray, "N 2"]) -> Bool[np.ndarray, " N"]:
    """Which points move, by their mean displacements."""
    length = np.linalg.norm(mean, axis=-1)
    return length >= max(MIN_MOTION, MIN_SHARE * float(length.max(initial=0.0)))


def points_to_show(
    points: Float[np.ndarray, "N 2"],
    mean: Float[np.ndarray, "N 2"],
    grid: tuple[int, int],
    height: int,
) -> Int[np.ndarray, " n"]:
    """Indices of the points that get arrows and ellipses.

    Of a `grid` (columns, rows) those that move, so far apart that they can be told apart in a
    picture of that height [px]; of scattered points all. The furthest moving MAX_POINTS of both.
    """
    if grid[0]:
        spread = _spread_out(points, grid, MIN_SPACING * max(1.0, height / 480))
        shown = spread[moving(mean)[spread]]
    else:
        shown = np.arange(len(points))
    furthest = np.argsort(-np.linalg.norm(mean[shown], axis=-1), kind="stable")
    return np.sort(shown[furthest[:MAX_POINTS]])


def _spread_out(
    points: Float[np.ndarray, "N 2"], grid: tuple[int, int], spacing: float
) -> Int[np.ndarray, " n"]:
    columns, rows = grid
    index = np.arange(columns * rows).reshape(rows, columns)
    pitch = np.ptp(points, axis=0) / np.maximum((columns - 1, rows - 1), 1)
    step = np.ceil(spacing / np.maximum(pitch, 1.0)).astype(int)
    first_x, first_y = np.minimum(step // 2, ((columns - 1) // 2, (rows - 1) // 2))
    return index[first_y :: step[1], first_x :: step[0]].ravel()


def ellipses_to_show(
    points: Float[np.ndarray, "N 2"],
    weights: Float[np.ndarray, "N K"],
    means: Float[np.ndarray, "N K 2"],
    covariances: Float[np.ndarray, "N K 2 2"],
    apart: bool,
) -> Ellipses:
    """The ellipses of two standard deviations that can be read, each as opaque as it is probable.

    `apart` leaves out components that stay, and those that would overlap a more probable one by
    more than half of their radii: on a grid they would pile up.
    """
    point, component = np.nonzero(weights >= MIN_WEIGHT)
    if apart:
        move = moving(means[point, component])
        point, component = point[move], component[move]
    weight, covariance = weights[point, component], covariances[point, component]
    radius = 2 * np.maximum(np.linalg.det(covariance.astype(np.float64)), 0.0) ** 0.25
    spread = np.minimum(1.0, (FULL_RADIUS / np.maximum(radius, 1e-6)) ** 2)
    order = np.argsort(-weight, kind="stable")
    if apart:
        centre = points[point] + means[point, component]
        order = _without_overlap(centre, radius, order)
    order = order[:MAX_ELLIPSES]
    opacity = weight * np.maximum(spread, FAINTEST)
    return Ellipses(point[order], component[order], opacity[order])


def _without_overlap(
    centre: Float[np.ndarray, "n 2"], radius: Float[np.ndarray, " n"], order: Int[np.ndarray, " n"]
) -> Int[np.ndarray, " n"]:
    kept: list[int] = []
    for i in order:
        if len(kept) == MAX_ELLIPSES:
            break
        gap = np.linalg.norm(centre[kept] - centre[i], axis=-1)
        if (gap >= 0.5 * (radius[kept] + radius[i])).all():
            kept.append(int(i))
    return np.array(kept, int)
