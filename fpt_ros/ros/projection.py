# SPDX-License-Identifier: Apache-2.0
"""Where in space the pixels of an image are drawn: a camera's projection, and depth."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from geometry_msgs.msg import Point

from fpt_ros.geometry.camera import Camera
from fpt_ros.ros.cameras import shown_camera

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from sensor_msgs.msg import CameraInfo

DEPTH = 1.0
"""Metres ahead of the camera, of the plane that pixels lie on where there is no depth."""
WINDOW = 3
"""Pixels to each side within which depth is looked for."""


def plane_of(image_size: tuple[int, int], info: CameraInfo | None) -> Surface:
    """The plane DEPTH ahead on which an image of that size [px] lies without depth, as displays
    see it with this CameraInfo (`shown_camera`)."""
    return Surface(shown_camera(image_size, info))


class Surface(NamedTuple):
    """What is seen at each pixel: a depth image [m], NaN in holes, or the plane DEPTH ahead."""

    camera: Camera
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
        anchors: Float[np.ndarray, "n 2"] | None = None,
        nearer: float = 0.0,
    ) -> list[Point]:
        """Points seen at `pixels`, r of them as far ahead as what is seen at each of `anchors`
        (None: at the pixels themselves).

        `nearer` moves them towards the camera by this share of their depth: they stay at their
        pixels, and are drawn before what they lie on.
        """
        anchors = pixels if anchors is None else anchors
        depth = self.depth_at(anchors) * (1 - nearer)
        depth = np.repeat(depth, len(pixels) // max(len(anchors), 1))
        return [Point(x=x, y=y, z=z) for x, y, z in self.camera.unproject(pixels, depth).tolist()]
