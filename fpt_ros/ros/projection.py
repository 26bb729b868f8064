# SPDX-License-Identifier: Apache-2.0
"""Where in space the pixels of an image are drawn: a camera's projection, and depth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from geometry_msgs.msg import Point

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from sensor_msgs.msg import CameraInfo

DEPTH = 1.0
"""Metres ahead of the camera, of the plane that pixels lie on where there is no depth."""
FIELD_OF_VIEW = math.radians(60)
"""Horizontal, of the camera that is assumed where none is known."""
WINDOW = 3
"""Pixels to each side within which depth is looked for."""


class Projection(NamedTuple):
    """Takes pixels to points in the optical frame (x right, y down, z forward, metres) and back."""

    fx: float
    fy: float
    cx: float
    cy: float
    tx: float = 0.0
    ty: float = 0.0
    """Shift of the projection centre, for a second camera of a pair [px m] (P[3], P[7])."""

    def at(
        self, pixels: Float[np.ndarray, "n 2"], depth: float | Float[np.ndarray, " n"] = DEPTH
    ) -> Float[np.ndarray, "n 3"]:
        """The points that are seen at these pixels, so many metres ahead."""
        z = np.broadcast_to(np.asarray(depth, float), len(pixels))[:, None]
        shifted = (pixels - np.array((self.cx, self.cy))) * z - (self.tx, self.ty)
        return np.concatenate([shifted / (self.fx, self.fy), z], axis=1)

    def points(
        self, pixels: Float[np.ndarray, "n 2"], depth: float | Float[np.ndarray, " n"] = DEPTH
    ) -> list[Point]:
        """The same as messages."""
        return [Point(x=x, y=y, z=z) for x, y, z in self.at(pixels, depth).tolist()]

    def pixels(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 2"]:
        """Where points are seen; NaN for those that are not ahead."""
        z = np.where(points[:, 2:] > 0, points[:, 2:], np.nan)
        shifted = points[:, :2] * (self.fx, self.fy) + (self.tx, self.ty)
        return np.asarray(shifted / z + (self.cx, self.cy))


def plane_of(image_size: tuple[int, int], info: CameraInfo | None) -> Projection:
    """The projection of an image [px] from its CameraInfo, if that is calibrated and fits its size.

    The projection matrix P counts, as for displays; K where there is none. Both are for the whole
    sensor: binning and region of interest are applied (sensor_msgs/CameraInfo, REP 104). Without
    either, a camera as wide as FIELD_OF_VIEW is assumed.
    """
    if info is not None and _size_of(info) == image_size:
        fx, fy, cx, cy, tx, ty = (info.p[i] for i in (0, 5, 2, 6, 3, 7))
        if not fx > 0:
            fx, fy, cx, cy, tx, ty = info.k[0], info.k[4], info.k[2], info.k[5], 0.0, 0.0
        if fx > 0 and fy > 0:
            (across, down), roi = _binning(info), info.roi
            cx, cy = (cx - roi.x_offset) / across, (cy - roi.y_offset) / down
            return Projection(fx / across, fy / down, cx, cy, tx / across, ty / down)
    width, height = image_size
    focal = width / 2 / math.tan(FIELD_OF_VIEW / 2)
    return Projection(focal, focal, (width - 1) / 2, (height - 1) / 2)


def _size_of(info: CameraInfo) -> tuple[int, int]:
    """Of the image that the CameraInfo belongs to [px]."""
    across, down = _binning(info)
    width, height = info.roi.width or info.width, info.roi.height or info.height
    return width // across, height // down


def _binning(info: CameraInfo) -> tuple[int, int]:
    return max(info.binning_x, 1), max(info.binning_y, 1)  # 0 means 1


class Surface(NamedTuple):
    """What is seen at each pixel: a depth image [m], NaN in holes, or the plane DEPTH ahead."""

    projection: Projection
    depth: Float[np.ndarray, "h w"] | None = None

    def depth_at(self, pixels: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " n"]:
        """Metres at pixels; in holes that of their neighbours, else of the whole image's middle."""
        if self.depth is None:
            return np.full(len(pixels), DEPTH)
        height, width = self.depth.shape
        centre = np.rint(np.clip(pixels, 0, (width - 1, height - 1))).astype(int)
        found = self.depth[centre[:, 1], centre[:, 0]].astype(float)
        holes = ~np.isfinite(found)
        if holes.any():
            found[holes] = self._around(centre[holes])
        if not np.isfinite(found).all():
            known = self.depth[::8, ::8][np.isfinite(self.depth[::8, ::8])]
            found[~np.isfinite(found)] = np.median(known) if len(known) else DEPTH
        return found

    def _around(self, centre: Int[np.ndarray, "n 2"]) -> Float[np.ndarray, " n"]:
        """The median depth within WINDOW pixels of each; NaN where all are holes."""
        assert self.depth is not None
        height, width = self.depth.shape
        steps = np.arange(-WINDOW, WINDOW + 1)
        x = np.clip(centre[:, :1] + np.tile(steps, len(steps)), 0, width - 1)
        y = np.clip(centre[:, 1:] + np.repeat(steps, len(steps)), 0, height - 1)
        ordered = np.sort(self.depth[y, x], axis=1)  # NaN last
        count = np.isfinite(ordered).sum(axis=1)
        return np.asarray(ordered[np.arange(len(centre)), np.maximum(count - 1, 0) // 2])

    def points(
        self,
        pixels: Float[np.ndarray, "n*r 2"],
        anchors: Float[np.ndarray, "n 2"],
        nearer: float = 0.0,
    ) -> list[Point]:
        """Points seen at `pixels`, r of them as far ahead as what is seen at each of `anchors`.

        `nearer` moves them towards the camera by this share of their depth: they stay at their
        pixels, and are drawn before what they lie on.
        """
        depth = self.depth_at(anchors) * (1 - nearer)
        return self.projection.points(pixels, np.repeat(depth, len(pixels) // max(len(anchors), 1)))
