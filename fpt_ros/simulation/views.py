# SPDX-License-Identifier: Apache-2.0
"""What each frame of a clip shows, and from it every point's exact track and visibility."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.simulation.flow import Poses, moved_points
from fpt_ros.simulation.rendering import FAR

if TYPE_CHECKING:
    from collections.abc import Sequence

    import mujoco
    from jaxtyping import Bool, Float, Int

    from fpt_ros.simulation.camera import Camera
    from fpt_ros.simulation.rendering import Renderer

INFINITY = 1e7
"""Metres to the sky: its points have a direction and no place, and only turn with the camera."""
DEPTH_SLACK = 0.01
"""A point is seen where the picture's depth is its own up to this share."""
NEAREST = 0.05
"""Metres before the camera's plane; what is nearer counts as behind it."""


@dataclass(frozen=True)
class View:
    """A square picture's camera, where all bodies are, and depth [m] and body of each pixel."""

    camera: Camera
    poses: Poses
    depth: Float[np.ndarray, "s s"]
    bodies: Int[np.ndarray, "s s"]

    @classmethod
    def of(cls, renderer: Renderer, data: mujoco.MjData, camera: Camera) -> View:
        """The scene as it stands in `data` (after its kinematics)."""
        depth, bodies = renderer.geometry(data, camera)
        depth = np.where(depth > 0.99 * FAR, INFINITY, depth)
        return cls(camera, Poses.of(data), depth, bodies)

    def surface(
        self, points: Float[np.ndarray, "n 2"]
    ) -> tuple[Float[np.ndarray, "n 3"], Int[np.ndarray, " n"]]:
        """The places in the world that are seen at points of the picture, and their bodies."""
        pixels = points * self.camera.width
        columns, rows = np.clip(pixels.astype(int), 0, self.camera.width - 1).T
        places = self.camera.back_project(pixels, self.depth[rows, columns])
        return places, self.bodies[rows, columns]

    def seen(
        self, places: Float[np.ndarray, "n 3"], bodies: Int[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, "n 2"], Bool[np.ndarray, " n"]]:
        """Where places in the world are in the picture, in [0, 1], and whether they are seen.

        They are seen where the picture shows their body at their depth, in one of the 3 x 3
        pixels round them: an outline's pixels belong to one side only. Behind the camera they
        are at NaN.
        """
        size = self.camera.width
        local = (places - self.camera.position) @ self.camera.axes.T
        depth = np.where(local[:, 2] > NEAREST, local[:, 2], np.nan)
        pixels = local[:, :2] / depth[:, None] * self.camera.focal + self.camera.centre
        depth = np.where(depth > 0.1 * INFINITY, INFINITY, depth)  # one distance for all directions
        inside = ((pixels >= 0) & (pixels < size)).all(1)
        columns, rows = np.where(inside, pixels.T, 0).astype(int)
        visible = np.zeros(len(places), bool)
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                at = (np.clip(rows + down, 0, size - 1), np.clip(columns + right, 0, size - 1))
                near = np.abs(self.depth[at] - depth) < DEPTH_SLACK * depth
                visible |= near & (self.bodies[at] == bodies)
        return pixels / size, visible & inside


def exact_tracks(
    views: Sequence[View], queries: Float[np.ndarray, "n 3"]
) -> tuple[Float[np.ndarray, "t n 2"], Bool[np.ndarray, "t n"]]:
    """Tracks and visibility of what is seen at `queries`: frame number, x, y in [0, 1].

    A track is at NaN where its place is behind the camera.
    """
    shape = (len(views), len(queries))
    tracks, visible = np.zeros((*shape, 2)), np.zeros(shape, bool)
    for start in np.unique(queries[:, 0]).astype(int):
        chosen = queries[:, 0] == start
        places, bodies = views[start].surface(queries[chosen, 1:])
        for time, view in enumerate(views):
            moved = moved_points(places, bodies, views[start].poses, view.poses)
            tracks[time, chosen], visible[time, chosen] = view.seen(moved, bodies)
    return tracks, visible
