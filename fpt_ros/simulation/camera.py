# SPDX-License-Identifier: Apache-2.0
"""A pinhole camera: from points in the world to pixels and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class Camera:
    """Pinhole camera with square pixels and its axis through the image's centre.

    position: in the world, metres. axes: rows are the camera's right, down and forward axes in
    the world. fovy: vertical field of view in degrees. width, height: pixels.
    Pixel coordinates have (0, 0) at the outer top-left corner; pixel i has its centre at i + 0.5.
    """

    position: Float[np.ndarray, " 3"]
    axes: Float[np.ndarray, "3 3"]
    fovy: float
    width: int
    height: int

    @classmethod
    def looking_at(
        cls,
        target: Float[np.ndarray, " 3"],
        azimuth: float,
        elevation: float,
        distance: float,
        fovy: float,
        width: int,
        height: int,
        roll: float = 0.0,
    ) -> Camera:
        """A camera at `distance` metres from `target`; angles in degrees.

        azimuth: the direction of view in the table's plane (90 looks along +y).
        elevation: how far above the target the camera stands. roll: clockwise camera tilt.
        """
        az, el, ro = np.radians([azimuth, elevation, roll])
        forward = np.array([np.cos(el) * np.cos(az), np.cos(el) * np.sin(az), -np.sin(el)])
        right = np.array([np.sin(az), -np.cos(az), 0.0])
        down = np.cross(forward, right)
        right, down = (
            np.cos(ro) * right + np.sin(ro) * down,
            np.cos(ro) * down - np.sin(ro) * right,
        )
        axes = np.stack([right, down, forward])
        return cls(np.asarray(target) - distance * forward, axes, fovy, width, height)

    @property
    def focal(self) -> float:
        """Focal length in pixels."""
        return 0.5 * self.height / np.tan(np.radians(self.fovy) / 2)

    @property
    def centre(self) -> Float[np.ndarray, " 2"]:
        return np.array([self.width, self.height]) / 2

    def project(
        self, points: Float[np.ndarray, "n 3"]
    ) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, " n"]]:
        """World points to pixel coordinates and depth along the axis (metres)."""
        local = (points - self.position) @ self.axes.T
        depth = local[:, 2]
        return local[:, :2] / depth[:, None] * self.focal + self.centre, depth

    def back_project(
        self, pixels: Float[np.ndarray, "n 2"], depth: Float[np.ndarray, " n"]
    ) -> Float[np.ndarray, "n 3"]:
        """Pixel coordinates with depth along the axis (metres) to world points."""
        rays = np.column_stack([(pixels - self.centre) / self.focal, np.ones(len(pixels))])
        return (rays * depth[:, None]) @ self.axes + self.position
