# SPDX-License-Identifier: Apache-2.0
"""Pokes and motions as markers for RViz, in the optical frame of the camera.

They lie on what the camera sees, by its depth image, or on a plane ahead of it; always where a
display that projects with the CameraInfo's matrix P sees them at their pixels. What is shown is
chosen as for the overlay (fpt_ros.legible).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from geometry_msgs.msg import Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from fpt_ros.drawing import direction_colors, ellipse_outlines
from fpt_ros.legible import MIN_MOTION, ellipses_to_show, moving, points_to_show
from fpt_ros.ros.conversions import seconds_to_duration
from fpt_ros.ros.projection import Surface, plane_of

if TYPE_CHECKING:
    from jaxtyping import Float
    from sensor_msgs.msg import CameraInfo

    from fpt_ros.engine.motion import Motion

LIFETIME = 15.0
"""Seconds that markers stay, should the node go away; while it is there it repeats them."""
LINE, BORDER = 2.5, 1.5
"""Widths of lines and of the black on each side of them, in pixels of a picture 480 high."""
ELLIPSE_CORNERS = 16
TINT = 0.4
WHEEL_SECTORS = 24
# Shares of the depth by which each kind lies before the picture, in the order in which they cover.
TINT_LAYER, ELLIPSE_LAYER, MOTION_LAYER, POKE_LAYER, LEGEND_LAYER = 0.01, 0.02, 0.03, 0.05, 0.15


def motion_markers(
    motion: Motion,
    header: Header,
    info: CameraInfo | None,
    depth: Float[np.ndarray, "h w"] | None = None,
) -> MarkerArray:
    """Everything of a motion, after a marker that deletes what was there before.

    Namespaces: `moving_part` (tint), `uncertainty` (ellipses of two standard deviations), `motion`
    (arrows to the mean, coloured by direction), `pokes` (white arrows), `legend`.

    Args:
        depth: metres at each pixel of the image, NaN in holes; None: all lies on a plane.
    """
    surface = plane_of(motion.image_size, info)._replace(depth=depth)
    shown = points_to_show(motion.points, motion.mean, motion.grid, motion.image_size[1])
    points, mean = motion.points[shown], motion.mean[shown]
    pen = max(1.0, min(motion.image_size) / 480)
    markers = [
        _moving_part(motion, surface),
        _ellipses(motion, shown, surface, pen),
        *_arrows("motion", points, mean, direction_colors(mean), surface, pen, MOTION_LAYER),
        *_arrows(
            "pokes",
            motion.pokes[:, :2],
            motion.pokes[:, 2:],
            np.full((len(motion.pokes), 3), 255),
            surface,
            1.6 * pen,
            POKE_LAYER,
        ),
        *_legend(motion, surface),
    ]
    for marker in markers:
        marker.header = header
    clear = Marker(header=header, action=Marker.DELETEALL)
    return MarkerArray(markers=[clear, *(m for m in markers if m.points or m.text)])


def _marker(namespace: str, number: int, kind: int, size: float) -> Marker:
    marker = Marker(ns=namespace, id=number, type=kind, action=Marker.ADD)
    marker.pose.orientation.w = 1.0
    marker.scale = Vector3(x=size, y=size, z=size)
    marker.lifetime = seconds_to_duration(LIFETIME)
    return marker


def _metres(surface: Surface, pixels: float, anchors: Float[np.ndarray, "n 2"]) -> float:
    """How wide so many pixels are where the anchors are seen, in the middle of them."""
    if not len(anchors):
        return pixels * 1e-3
    return float(pixels * np.median(surface.depth_at(anchors)) / surface.camera.fx)


def _moving_part(motion: Motion, surface: Surface) -> Marker:
    """A square for each point of a grid that moves."""
    columns = motion.grid[0]
    mean = motion.mean
    move = moving(mean) if columns else np.zeros(len(mean), bool)
    at, shift = motion.points[move], mean[move]
    pitch = 0.98 * motion.image_size[0] / max(columns, 1)
    marker = _marker("moving_part", 0, Marker.POINTS, _metres(surface, pitch, at))
    marker.points = surface.points(at, at, TINT_LAYER)
    length = np.linalg.norm(shift, axis=1)
    marker.colors = _colors(direction_colors(shift), TINT * length / length.max(initial=1e-6))
    return marker


def _ellipses(motion: Motion, shown: np.ndarray, surface: Surface, pen: float) -> Marker:
    """Outlines of the Gaussians that can be read, as opaque as they are probable."""
    mixture = motion.points, motion.weights, motion.means, motion.covariances
    points, weights, means, covariances = (array[shown] for array in mixture)
    point, component, opacity = ellipses_to_show(
        points, weights, means, covariances, motion.grid[0] > 0
    )
    shift, anchors = means[point, component], points[point]
    outline = ellipse_outlines(anchors + shift, covariances[point, component], ELLIPSE_CORNERS)
    segments = np.stack([outline, np.roll(outline, -1, axis=1)], axis=2).reshape(-1, 2)
    width = _metres(surface, LINE * pen, anchors)
    marker = _marker("uncertainty", 0, Marker.LINE_LIST, width)
    repeats = 2 * ELLIPSE_CORNERS
    marker.points = surface.points(segments, anchors, ELLIPSE_LAYER)
    marker.colors = _repeated(_colors(direction_colors(shift), opacity), repeats)
    return marker


def _arrows(
    namespace: str,
    start: Float[np.ndarray, "n 2"],
    shift: Float[np.ndarray, "n 2"],
    rgb: np.ndarray,
    surface: Surface,
    pen: float,
    layer: float,
) -> list[Marker]:
    """Arrows that are long enough, as two line lists: black borders, and colours before them."""
    length = np.linalg.norm(shift, axis=1)
    long = length >= MIN_MOTION
    start, shift, rgb, length = start[long], shift[long], rgb[long], length[long]
    corners = _arrow_corners(start, shift, length, pen)
    pixels = np.stack(corners, axis=1).reshape(-1, 2)
    markers = []
    for number, width in enumerate((LINE + 2 * BORDER, LINE)):
        size = _metres(surface, width * pen, start)
        marker = _marker(namespace, number, Marker.LINE_LIST, size)
        marker.points = surface.points(pixels, start, layer + 0.01 * number)
        colors = rgb if number else np.zeros_like(rgb)
        marker.colors = _repeated(_colors(colors, np.ones(len(rgb))), len(corners))
        markers.append(marker)
    return markers


def _arrow_corners(
    start: Float[np.ndarray, "n 2"],
    shift: Float[np.ndarray, "n 2"],
    length: Float[np.ndarray, " n"],
    pen: float,
) -> list[Float[np.ndarray, "n 2"]]:
    """Ends of the shaft and of the two sides of the head, to scale."""
    along = shift / np.maximum(length, 1e-6)[:, None]
    across = along[:, ::-1] * (-1, 1)
    head = np.clip(0.4 * length, 7 * pen, 14 * pen)[:, None]
    end = start + shift
    return [start, end, end, end - head * (along + 0.6 * across),
            end, end - head * (along - 0.6 * across)]  # fmt: skip


def _legend(motion: Motion, surface: Surface) -> list[Marker]:
    """What colours, arrows and ellipses mean, in the lower left corner of the picture."""
    longest = float(np.linalg.norm(motion.mean, axis=1).max(initial=0.0))
    width, height = motion.image_size
    radius = min(width, height) / 14
    centre = np.array([[1.4 * radius, height - 1.4 * radius]])
    wheel = _marker("legend", 0, Marker.TRIANGLE_LIST, 1.0)
    if longest >= MIN_MOTION:
        angles = np.linspace(0, 2 * np.pi, WHEEL_SECTORS + 1)
        rim = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        corners = [np.zeros_like(rim[1:]), rim[:-1], rim[1:]]
        pixels = centre + radius * np.stack(corners, axis=1).reshape(-1, 2)
        wheel.points = surface.points(pixels, centre, LEGEND_LAYER)
        wheel.colors = _repeated(_colors(direction_colors(rim[:-1]), np.ones(WHEEL_SECTORS)), 3)
    size = _metres(surface, 0.5 * radius, centre)
    text = _marker("legend", 1, Marker.TEXT_VIEW_FACING, size)
    text.text = f"colour: direction, longest {longest:.0f} px"
    if longest < MIN_MOTION:
        text.text = "nothing moves"
    beside = centre + np.array((5.2 * radius, 0))
    text.pose.position = surface.points(beside, centre, LEGEND_LAYER)[0]
    text.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
    return [wheel, text]


def _colors(rgb: np.ndarray, alpha: np.ndarray) -> list[ColorRGBA]:
    return [
        ColorRGBA(r=r / 255, g=g / 255, b=b / 255, a=a)
        for (r, g, b), a in zip(rgb.tolist(), alpha.tolist(), strict=True)
    ]


def _repeated(colors: list[ColorRGBA], times: int) -> list[ColorRGBA]:
    """One colour for each of a shape's corners."""
    return [color for color in colors for _ in range(times)]
