# SPDX-License-Identifier: Apache-2.0
"""Pokes and motions as markers, in the optical frame of the camera.

Image points lie on the plane DEPTH in front of the camera. With a CameraInfo next to the image they
are projected with its matrix P, so that a Camera display shows them at their pixels; without one, a
camera as wide as FIELD_OF_VIEW is assumed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from fpt_ros.drawing import direction_colors, ellipse_outlines
from fpt_ros.ros.conversions import seconds_to_duration

if TYPE_CHECKING:
    from jaxtyping import Float32
    from sensor_msgs.msg import CameraInfo

    from fpt_ros.engine.motion import Motion

DEPTH = 1.0  # metres
FIELD_OF_VIEW = math.radians(60)
LINE_WIDTH = 0.003  # metres
LIFETIME = 10.0  # seconds, should the node go away
ELLIPSE_CORNERS = 24
# More would make rviz slow and the picture unreadable.
MAX_ELLIPSES = 400
MIN_WEIGHT = 0.1


class Plane(NamedTuple):
    """Takes pixels to the plane DEPTH ahead: where a camera of this projection sees them."""

    fx: float
    fy: float
    cx: float
    cy: float
    tx: float = 0.0
    ty: float = 0.0
    """Shift of the projection centre, for a second camera of a pair [px m] (P[3], P[7])."""

    def points(self, pixels: Float32[np.ndarray, "n 2"]) -> list[Point]:
        offset = (pixels - (self.cx, self.cy)) * DEPTH - (self.tx, self.ty)
        return [Point(x=x, y=y, z=DEPTH) for x, y in (offset / (self.fx, self.fy)).tolist()]


def plane_of(image_size: tuple[int, int], info: CameraInfo | None) -> Plane:
    """The plane of an image [px] from its CameraInfo, if that is calibrated and fits its size.

    The projection matrix P counts, as for displays; K where there is none. Both are for the whole
    sensor: binning and region of interest are applied (sensor_msgs/CameraInfo, REP 104).
    """
    if info is not None and _size_of(info) == image_size:
        fx, fy, cx, cy, tx, ty = (info.p[i] for i in (0, 5, 2, 6, 3, 7))
        if not fx > 0:
            fx, fy, cx, cy, tx, ty = info.k[0], info.k[4], info.k[2], info.k[5], 0.0, 0.0
        if fx > 0 and fy > 0:
            (across, down), roi = _binning(info), info.roi
            cx, cy = (cx - roi.x_offset) / across, (cy - roi.y_offset) / down
            return Plane(fx / across, fy / down, cx, cy, tx / across, ty / down)
    width, height = image_size
    focal = width / 2 / math.tan(FIELD_OF_VIEW / 2)
    return Plane(focal, focal, (width - 1) / 2, (height - 1) / 2)


def _size_of(info: CameraInfo) -> tuple[int, int]:
    """Of the image that the CameraInfo belongs to [px]."""
    across, down = _binning(info)
    width, height = info.roi.width or info.width, info.roi.height or info.height
    return width // across, height // down


def _binning(info: CameraInfo) -> tuple[int, int]:
    return max(info.binning_x, 1), max(info.binning_y, 1)  # 0 means 1


def motion_markers(motion: Motion, header: Header, info: CameraInfo | None) -> MarkerArray:
    """Pokes (white) and means (coloured by direction) as arrows, Gaussians as ellipses."""
    plane = plane_of(motion.image_size, info)
    clear = Marker(header=header, action=Marker.DELETEALL)
    lines = [
        _arrows("pokes", motion.pokes[:, :2], motion.pokes[:, 2:], plane, white=True),
        _arrows("motion", motion.points, motion.mean, plane),
        _ellipses(motion, plane),
    ]
    for marker in lines:
        marker.header = header
    return MarkerArray(markers=[clear, *(marker for marker in lines if marker.points)])


def _lines(namespace: str, width: float) -> Marker:
    marker = Marker(ns=namespace, id=0, type=Marker.LINE_LIST, action=Marker.ADD)
    marker.pose.orientation.w = 1.0
    marker.scale = Vector3(x=width)
    marker.lifetime = seconds_to_duration(LIFETIME)
    return marker


def _arrows(
    namespace: str,
    start: Float32[np.ndarray, "n 2"],
    shift: Float32[np.ndarray, "n 2"],
    plane: Plane,
    white: bool = False,
) -> Marker:
    """All arrows as one line list: a shaft and the two sides of a head each."""
    marker = _lines(namespace, 2 * LINE_WIDTH if white else LINE_WIDTH)
    end = start + shift
    back = -0.3 * shift
    across = 0.5 * back[:, ::-1] * (-1, 1)
    ends = [start, end, end, end + back + across, end, end + back - across]
    marker.points = plane.points(np.stack(ends, axis=1).reshape(-1, 2))
    colors = np.full((len(start), 3), 255) if white else direction_colors(shift)
    marker.colors = _colors(colors, np.ones(len(start)), len(ends))
    return marker


def _ellipses(motion: Motion, plane: Plane) -> Marker:
    """Outlines of the Gaussians that weigh enough, of the points that move furthest first."""
    marker = _lines("uncertainty", LINE_WIDTH / 2)
    order = np.argsort(-np.linalg.norm(motion.mean, axis=1))
    point, component = np.nonzero(motion.weights[order] >= MIN_WEIGHT)
    point, component = order[point[:MAX_ELLIPSES]], component[:MAX_ELLIPSES]
    means = motion.means[point, component]
    outline = ellipse_outlines(
        motion.points[point] + means, motion.covariances[point, component], ELLIPSE_CORNERS
    )
    segments = np.stack([outline, np.roll(outline, -1, axis=1)], axis=2)
    marker.points = plane.points(segments.reshape(-1, 2))
    weights = motion.weights[point, component]
    marker.colors = _colors(direction_colors(means), weights, 2 * ELLIPSE_CORNERS)
    return marker


def _colors(rgb: np.ndarray, alpha: np.ndarray, repeats: int) -> list[ColorRGBA]:
    """One colour for each of a shape's corners."""
    colors = [
        ColorRGBA(r=r / 255, g=g / 255, b=b / 255, a=a)
        for (r, g, b), a in zip(rgb.tolist(), alpha.tolist(), strict=True)
    ]
    return [color for color in colors for _ in range(repeats)]
