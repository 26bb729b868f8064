# SPDX-License-Identifier: Apache-2.0
"""What is predicted of some points of an image, as arrays."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float32


@dataclasses.dataclass(frozen=True)
class Motion:
    """For N image points, a mixture of K Gaussians each of their displacement.

    Positions and displacements are pixels of the image, x right, y down, (0, 0) the centre of the
    top-left pixel; displacements are over `horizon` seconds (0: unknown). `grid` is (columns,
    rows) of points that form a grid row by row, (0, 0) for scattered points.
    """

    pokes: Float32[np.ndarray, "P 4"]
    points: Float32[np.ndarray, "N 2"]
    weights: Float32[np.ndarray, "N K"]
    means: Float32[np.ndarray, "N K 2"]
    covariances: Float32[np.ndarray, "N K 2 2"]
    image_size: tuple[int, int]
    """Width and height [px]."""
    camera_moving: bool = False
    grid: tuple[int, int] = (0, 0)
    horizon: float = 0.0
    header: Any = None
    """std_msgs/Header with stamp and frame_id of the image, where it came in a message."""

    @property
    def mean(self) -> Float32[np.ndarray, "N 2"]:
        """Mean displacement of each point [px]."""
        return np.einsum("nk,nkd->nd", self.weights, self.means)

    @property
    def covariance(self) -> Float32[np.ndarray, "N 2 2"]:
        """Of each point's displacement, all components together [px^2]."""
        apart = self.means - self.mean[:, None]
        second = self.covariances + apart[..., :, None] * apart[..., None, :]
        return np.einsum("nk,nkij->nij", self.weights, second)

    @property
    def flow(self) -> Float32[np.ndarray, "rows columns 2"]:
        """The mean displacements of a grid; ValueError for scattered points."""
        columns, rows = self.grid
        if not columns:
            raise ValueError("the points are scattered: flow needs a grid")
        return self.mean.reshape(rows, columns, 2)


@dataclasses.dataclass(frozen=True)
class Samples:
    """S joint futures of N image points: within one the points move in a way that fits each other.

    Positions, displacements, `grid` and `horizon` as in Motion.
    """

    points: Float32[np.ndarray, "N 2"]
    displacements: Float32[np.ndarray, "S N 2"]
    image_size: tuple[int, int]
    """Width and height [px]."""
    grid: tuple[int, int]
    horizon: float
    header: Any
    """As in Motion."""
