# SPDX-License-Identifier: Apache-2.0
"""Pictures of motion: pokes, mixtures of Gaussians and dense flow over an image. No ROS, no torch.

Colour means direction everywhere, as on the colour wheel that dense flow carries in its corner.
Positions and displacements are pixels, x right, y down, (0, 0) the centre of the top-left pixel;
arrows and ellipses are drawn to scale. Pictures are RGB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from fpt_ros.legible import MIN_MOTION, ellipses_to_show, moving, points_to_show

if TYPE_CHECKING:
    from jaxtyping import Float, Int, UInt8

WHITE, BLACK = (255, 255, 255), (0, 0, 0)
# OpenCV takes coordinates in 1/16 of a pixel.
SHIFT = 4
ELLIPSE_CORNERS = 32
WHEEL_MARGIN = 6
TINT = 0.45
"""Opacity of the colour where the motion is longest."""


def draw_motion(
    image: UInt8[np.ndarray, "h w 3"],
    pokes: Float[np.ndarray, "P 4"],
    points: Float[np.ndarray, "N 2"],
    weights: Float[np.ndarray, "N K"],
    means: Float[np.ndarray, "N K 2"],
    covariances: Float[np.ndarray, "N K 2 2"],
    grid: tuple[int, int] = (0, 0),
) -> UInt8[np.ndarray, "h w 3"]:
    """A copy of the image with the points' mixtures and means, the pokes on top, and a legend.

    Components are ellipses of two standard deviations about where they take the point, the fainter
    the less probable and the wider they are. Points of a `grid` (columns, rows) also tint what
    moves; of them, only those that move and can be told apart get arrows and ellipses
    (fpt_ros.legible).
    """
    mean = np.einsum("nk,nkd->nd", weights, means)
    height, width = image.shape[:2]
    pen = _pen(image)
    shown = points_to_show(points, mean, grid, height)
    paint = np.zeros((height, width, 4), np.uint8)
    if grid[0]:
        paint = _tint(mean.reshape(grid[1], grid[0], 2), (width, height))
    mixture = points[shown], weights[shown], means[shown], covariances[shown]
    _paint_ellipses(paint, *mixture, apart=grid[0] > 0, pen=pen)
    picture = _blend(image, paint)
    _draw_points(picture, points[shown], mean[shown], pen)
    for poke in pokes:
        _draw_poke(picture, poke, pen)
    longest = float(np.linalg.norm(mean, axis=-1).max(initial=0.0))
    if grid[0] and longest >= MIN_MOTION:
        _draw_wheel(picture, longest)
    return picture


def draw_flow(
    image: UInt8[np.ndarray, "h w 3"],
    flow: Float[np.ndarray, "rows columns 2"],
    pokes: Float[np.ndarray, "P 4"],
) -> UInt8[np.ndarray, "h w 3"]:
    """Dense flow in colour beside what is left of the image, a colour wheel and the pokes.

    The wheel's rim stands for the longest displacement, which is written beside it; pictures too
    small for the wheel go without.
    """
    height, width = image.shape[:2]
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    flow = cv2.resize(flow.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    longest = max(float(np.linalg.norm(flow, axis=-1).max()), 1e-6)
    picture = cv2.addWeighted(flow_colors(flow, longest), 0.7, grey, 0.3, 0.0)
    for poke in pokes:
        _draw_poke(picture, poke, _pen(picture))
    _draw_wheel(picture, longest)
    return np.asarray(picture, np.uint8)


def flow_colors(flow: Float[np.ndarray, "*n 2"], longest: float) -> UInt8[np.ndarray, "*n 3"]:
    """Direction as hue and length as saturation: white stands still, `longest` is full colour."""
    length = np.linalg.norm(flow, axis=-1, keepdims=True) / longest
    saturation = np.clip(length, 0.0, 1.0)
    return (255 - saturation * (255.0 - direction_colors(flow))).astype(np.uint8)


def direction_colors(flow: Float[np.ndarray, "*n 2"]) -> UInt8[np.ndarray, "*n 3"]:
    """The full colour of each displacement's direction: right is red, down is green-yellow."""
    angle = np.arctan2(flow[..., 1], flow[..., 0]) % (2 * np.pi)
    hue = (angle / (2 * np.pi) * 255).astype(np.uint8)
    return _PALETTE[hue]


def _tint(
    flow: Float[np.ndarray, "rows columns 2"], size: tuple[int, int]
) -> UInt8[np.ndarray, "h w 4"]:
    """Paint of that size (width, height) where it moves."""
    length = np.linalg.norm(flow, axis=-1, keepdims=True)
    opacity = TINT * length / max(float(length.max()), 1e-6)
    opacity[~moving(flow.reshape(-1, 2)).reshape(length.shape)] = 0.0
    paint = np.concatenate([direction_colors(flow) * opacity, 255 * opacity], axis=-1)
    return np.asarray(cv2.resize(paint.astype(np.uint8), size), np.uint8)


def _blend(
    image: UInt8[np.ndarray, "h w 3"], paint: UInt8[np.ndarray, "h w 4"]
) -> UInt8[np.ndarray, "h w 3"]:
    """A copy of the image under paint: colours times their opacity, and the opacity."""
    picture = image.copy()
    x, y, width, height = cv2.boundingRect(cv2.extractChannel(paint, 3))
    if width:
        part, paint = picture[y : y + height, x : x + width], paint[y : y + height, x : x + width]
        left = cv2.cvtColor(255 - paint[..., 3], cv2.COLOR_GRAY2RGB)
        color = cv2.cvtColor(paint, cv2.COLOR_RGBA2RGB)
        part[:] = cv2.add(cv2.multiply(part, left, scale=1 / 255), color)
    return picture


def ellipse_outlines(
    centres: Float[np.ndarray, "n 2"], covariances: Float[np.ndarray, "n 2 2"], corners: int
) -> Float[np.ndarray, "n corners 2"]:
    """Polygons of two standard deviations about each centre (86 % of the Gaussian)."""
    variances, axes = np.linalg.eigh(covariances.astype(np.float64))
    axes = axes * 2 * np.sqrt(np.maximum(variances, 0.0))[:, None, :]
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)])
    return centres[:, None] + np.einsum("nij,jc->nci", axes, circle)


def _palette() -> UInt8[np.ndarray, "256 3"]:
    """Hues of one lightness and chroma, so that no direction looks stronger than another."""
    angle = np.linspace(0, 2 * np.pi, 256, endpoint=False) + np.pi / 6
    lab = np.stack(
        [np.full(256, 68.0), 68 * np.cos(angle), 68 * np.sin(angle)], axis=-1, dtype=np.float32
    )
    rgb = cv2.cvtColor(lab[None], cv2.COLOR_Lab2RGB)[0]
    return (rgb.clip(0, 1) * 255).astype(np.uint8)


_PALETTE = _palette()


def _pen(picture: UInt8[np.ndarray, "h w 3"]) -> float:
    """Width of lines, in units of those that suit a picture of 640 x 480."""
    return max(1.0, min(picture.shape[:2]) / 480)


def _paint_ellipses(
    paint: UInt8[np.ndarray, "h w 4"],
    points: Float[np.ndarray, "n 2"],
    weights: Float[np.ndarray, "n K"],
    means: Float[np.ndarray, "n K 2"],
    covariances: Float[np.ndarray, "n K 2 2"],
    apart: bool,
    pen: float,
) -> None:
    """Rims, each as opaque as its ellipse is probable, the most probable on top."""
    point, component, opacity = ellipses_to_show(points, weights, means, covariances, apart)
    shift = means[point, component]
    outlines = ellipse_outlines(
        points[point] + shift, covariances[point, component], ELLIPSE_CORNERS
    )
    colors = np.concatenate([direction_colors(shift), np.full((len(shift), 1), 255)], axis=1)
    for i in reversed(range(len(outlines))):
        corners = [_fixed_polygon(outlines[i])]
        rim = (opacity[i] * colors[i]).tolist()
        cv2.polylines(paint, corners, True, rim, round(pen) + 1, cv2.LINE_AA, SHIFT)


def _draw_points(
    image: UInt8[np.ndarray, "h w 3"],
    points: Float[np.ndarray, "n 2"],
    shifts: Float[np.ndarray, "n 2"],
    pen: float,
) -> None:
    """Dots at the points, and arrows to the means of those that move; black borders first."""
    move = np.linalg.norm(shifts, axis=1) >= MIN_MOTION
    colors = np.where(move[:, None], direction_colors(shifts), 255).tolist()
    arrows = [_arrow(point, shift, pen) for point, shift in zip(points, shifts, strict=True)]
    bordered = [line for arrow in arrows for line in arrow]
    cv2.polylines(image, bordered, False, BLACK, round(5 * pen), cv2.LINE_AA, SHIFT)
    for point, arrow, color in zip(points, arrows, colors, strict=True):
        cv2.polylines(image, arrow, False, color, round(3 * pen), cv2.LINE_AA, SHIFT)
        _draw_disc(image, point, 4 * pen, BLACK)
        _draw_disc(image, point, 3 * pen, color)


def _draw_poke(
    image: UInt8[np.ndarray, "h w 3"], poke: Float[np.ndarray, " 4"], pen: float
) -> None:
    """A white arrow with a black border, a ring where it pushes."""
    point = poke[:2]
    arrow = _arrow(point, poke[2:], pen)
    for color, thickness in ((BLACK, 7), (WHITE, 4)):
        cv2.polylines(image, arrow, False, color, round(thickness * pen), cv2.LINE_AA, SHIFT)
    for color, thickness in ((BLACK, 5), (WHITE, 2)):
        width = max(1, round(thickness * pen))
        cv2.circle(
            image, _fixed(point), round(7 * pen * (1 << SHIFT)), color, width, cv2.LINE_AA, SHIFT
        )


def _draw_disc(
    image: UInt8[np.ndarray, "h w 3"],
    centre: Float[np.ndarray, " 2"],
    radius: float,
    color: tuple[int, int, int] | list[int],
) -> None:
    cv2.circle(image, _fixed(centre), round(radius * (1 << SHIFT)), color, -1, cv2.LINE_AA, SHIFT)


def _arrow(
    start: Float[np.ndarray, " 2"], shift: Float[np.ndarray, " 2"], pen: float
) -> list[Int[np.ndarray, "_ 2"]]:
    """Shaft and head, to scale, in OpenCV's coordinates; the head is 7 to 14 pixels (x `pen`)."""
    length = float(np.hypot(*shift))
    if length < MIN_MOTION:
        return []
    along = shift / length
    end, back = start + shift, min(14 * pen, max(7 * pen, 0.4 * length)) * along
    across = 0.6 * back[::-1] * (-1, 1)
    corners = np.array([start, end, end - back + across, end, end - back - across])
    fixed = _fixed_polygon(corners)
    return [fixed[:2], fixed[2:]]


def _fixed(point: Float[np.ndarray, " 2"]) -> tuple[int, int]:
    """Coordinates for OpenCV; far beyond the image they only have to stay in its integers."""
    x, y = np.round(np.clip(point, -1e6, 1e6) * (1 << SHIFT)).astype(int).tolist()
    return x, y


def _fixed_polygon(outline: Float[np.ndarray, "c 2"]) -> Int[np.ndarray, "c 2"]:
    return np.round(np.clip(outline, -1e6, 1e6) * (1 << SHIFT)).astype(np.int32)


def _draw_wheel(picture: UInt8[np.ndarray, "h w 3"], longest: float) -> None:
    """A colour wheel in the lower left corner and the length [px] that its rim stands for."""
    radius = max(min(picture.shape[:2]) // 12, 8)
    if min(picture.shape[:2]) < 2 * radius + 1 + 2 * WHEEL_MARGIN:
        return
    side = np.arange(-radius, radius + 1, dtype=np.float32)
    wheel = np.stack(np.meshgrid(side, side), axis=-1)
    inside = np.linalg.norm(wheel, axis=-1) <= radius
    left, bottom = WHEEL_MARGIN, picture.shape[0] - WHEEL_MARGIN
    corner = picture[bottom - len(side) : bottom, left : left + len(side)]
    corner[inside] = flow_colors(wheel, radius)[inside]
    cv2.circle(picture, (left + radius, bottom - radius - 1), radius, BLACK, 1, cv2.LINE_AA)
    text, where = f"{longest:.0f} px", (left + len(side) + 6, bottom - radius + 5)
    for color, thickness in ((WHITE, 3), (BLACK, 1)):
        cv2.putText(
            picture, text, where, cv2.FONT_HERSHEY_SIMPLEX, 0.5, color, thickness, cv2.LINE_AA
        )
