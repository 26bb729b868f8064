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

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

WHITE, BLACK = (255, 255, 255), (0, 0, 0)
# OpenCV takes coordinates in 1/16 of a pixel.
SHIFT = 4
ELLIPSE_CORNERS = 32
# Ellipses of lighter components would only be haze.
MIN_WEIGHT = 0.05
# Closer points than this would hide each other.
MIN_SPACING = 28.0
WHEEL_MARGIN = 6


def draw_motion(
    image: UInt8[np.ndarray, "h w 3"],
    pokes: Float[np.ndarray, "P 4"],
    points: Float[np.ndarray, "N 2"],
    weights: Float[np.ndarray, "N K"],
    means: Float[np.ndarray, "N K 2"],
    covariances: Float[np.ndarray, "N K 2 2"],
    grid: tuple[int, int] = (0, 0),
) -> UInt8[np.ndarray, "h w 3"]:
    """A copy of the image with each point's mixture and mean, and the pokes on top.

    Every component is an ellipse of two standard deviations about where it takes the point, as
    opaque as it weighs. Points of a `grid` (columns, rows) also tint the image with their flow,
    and only as many of them get ellipses and arrows as can be told apart.
    """
    mean = np.einsum("nk,nkd->nd", weights, means)
    shown = np.arange(len(points))
    if grid[0]:
        image = tint_with_flow(image, mean.reshape(grid[1], grid[0], 2))
        shown = spread_out(points, grid, mean)
    else:
        image = image.copy()
    _draw_ellipses(image, points[shown], weights[shown], means[shown], covariances[shown])
    for point, shift in zip(points[shown], mean[shown], strict=True):
        _draw_point(image, point, shift)
    for poke in pokes:
        _draw_poke(image, poke)
    return image


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
        _draw_poke(picture, poke)
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


def tint_with_flow(
    image: UInt8[np.ndarray, "h w 3"], flow: Float[np.ndarray, "rows columns 2"]
) -> UInt8[np.ndarray, "h w 3"]:
    """A copy of the image, coloured where it moves."""
    height, width = image.shape[:2]
    flow = cv2.resize(flow.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    length = np.linalg.norm(flow, axis=-1, keepdims=True)
    opacity = 0.55 * length / max(float(length.max()), 1e-6)
    return (image * (1 - opacity) + direction_colors(flow) * opacity).astype(np.uint8)


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


def spread_out(
    points: Float[np.ndarray, "N 2"], grid: tuple[int, int], mean: Float[np.ndarray, "N 2"]
) -> np.ndarray:
    """Indices of grid points at least MIN_SPACING apart that move noticeably."""
    columns, rows = grid
    index = np.arange(columns * rows).reshape(rows, columns)
    spacing = np.ptp(points, axis=0) / np.maximum((columns - 1, rows - 1), 1)
    step = np.ceil(MIN_SPACING / np.maximum(spacing, 1.0)).astype(int)
    first_x, first_y = np.minimum(step // 2, ((columns - 1) // 2, (rows - 1) // 2))
    spread = index[first_y :: step[1], first_x :: step[0]].ravel()
    length = np.linalg.norm(mean, axis=-1)
    return spread[length[spread] >= max(2.0, 0.08 * length.max())]


def _draw_ellipses(
    image: UInt8[np.ndarray, "h w 3"],
    points: Float[np.ndarray, "n 2"],
    weights: Float[np.ndarray, "n K"],
    means: Float[np.ndarray, "n K 2"],
    covariances: Float[np.ndarray, "n K 2 2"],
) -> None:
    point, component = np.nonzero(weights >= MIN_WEIGHT)
    shift = means[point, component]
    outlines = ellipse_outlines(
        points[point] + shift, covariances[point, component], ELLIPSE_CORNERS
    )
    colors = direction_colors(shift)
    for outline, color, weight in zip(outlines, colors, weights[point, component], strict=True):
        _blend_polygon(image, outline, color.tolist(), float(weight))


def _blend_polygon(
    image: UInt8[np.ndarray, "h w 3"],
    outline: Float[np.ndarray, "c 2"],
    color: list[int],
    opacity: float,
) -> None:
    """Fill at half the opacity and draw the rim at all of it."""
    height, width = image.shape[:2]
    low = np.clip(np.floor(outline.min(axis=0)) - 2, 0, (width, height)).astype(int)
    high = np.clip(np.ceil(outline.max(axis=0)) + 3, 0, (width, height)).astype(int)
    patch = image[low[1] : high[1], low[0] : high[0]]
    if not patch.size:
        return
    corners = np.clip(outline - low, -4096, 4096)
    fixed = np.round(corners * (1 << SHIFT)).astype(np.int32)
    filled, rimmed = patch.copy(), patch.copy()
    cv2.fillPoly(filled, [fixed], color, cv2.LINE_AA, SHIFT)
    cv2.addWeighted(filled, opacity / 2, patch, 1 - opacity / 2, 0, dst=rimmed)
    rim = rimmed.copy()
    cv2.polylines(rim, [fixed], True, color, 1, cv2.LINE_AA, SHIFT)
    patch[:] = cv2.addWeighted(rim, opacity, rimmed, 1 - opacity, 0)


def _draw_point(
    image: UInt8[np.ndarray, "h w 3"],
    point: Float[np.ndarray, " 2"],
    shift: Float[np.ndarray, " 2"],
) -> None:
    """A dot at the point and an arrow to its mean, if that is further away than the dot's rim."""
    moves = float(np.linalg.norm(shift)) >= 2.0
    color = direction_colors(shift).tolist() if moves else WHITE
    if moves:
        _draw_arrow(image, point, shift, BLACK, 4)
        _draw_arrow(image, point, shift, color, 2)
    centre = _fixed(point)
    cv2.circle(image, centre, 4 << SHIFT, BLACK, -1, cv2.LINE_AA, SHIFT)
    cv2.circle(image, centre, 3 << SHIFT, color, -1, cv2.LINE_AA, SHIFT)


def _draw_poke(image: UInt8[np.ndarray, "h w 3"], poke: Float[np.ndarray, " 4"]) -> None:
    """A white arrow with a black border, a ring where it pushes."""
    point, shift = poke[:2], poke[2:]
    _draw_arrow(image, point, shift, BLACK, 6)
    _draw_arrow(image, point, shift, WHITE, 3)
    centre = _fixed(point)
    cv2.circle(image, centre, 7 << SHIFT, BLACK, 5, cv2.LINE_AA, SHIFT)
    cv2.circle(image, centre, 7 << SHIFT, WHITE, 2, cv2.LINE_AA, SHIFT)


def _draw_arrow(
    image: UInt8[np.ndarray, "h w 3"],
    start: Float[np.ndarray, " 2"],
    shift: Float[np.ndarray, " 2"],
    color: tuple[int, int, int] | list[int],
    thickness: int,
) -> None:
    """A line with a head of at most 12 pixels, whatever its length."""
    length = float(np.linalg.norm(shift))
    if length < 1.0:
        return
    along = shift / length
    across = np.array([-along[1], along[0]])
    end, head = start + shift, min(12.0, 0.4 * length + 2)
    left, right = (end - head * (along + side * 0.5 * across) for side in (1, -1))
    for tail in (start, left, right):
        cv2.line(image, _fixed(tail), _fixed(end), color, thickness, cv2.LINE_AA, SHIFT)


def _fixed(point: Float[np.ndarray, " 2"]) -> tuple[int, int]:
    """Coordinates for OpenCV; far beyond the image they only have to stay in its integers."""
    x, y = np.round(np.clip(point, -1e6, 1e6) * (1 << SHIFT)).astype(int).tolist()
    return x, y


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
