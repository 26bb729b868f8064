# SPDX-License-Identifier: Apache-2.0
"""Points of a part and where each is seen when the part has moved: what motions are fitted to."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from fpt_ros.geometry.camera import Camera

NEAREST = 0.02
"""Metres in front of the camera at which points are still projected."""


@dataclasses.dataclass(frozen=True)
class Evidence:
    """Points of a part, and where each is seen when the part has moved."""

    start: Float[np.ndarray, "n 3"]
    """Metres from `centre`."""
    pixels: Float[np.ndarray, "n 2"]
    """Afterwards, undistorted."""
    whiten: Float[np.ndarray, "n 2 2"]
    """Makes their errors have unit variance."""
    depth: Float[np.ndarray, " n"]
    """Afterwards, metres; NaN: not known."""
    depth_spread: Float[np.ndarray, " n"]
    """Standard deviation, metres."""
    robust: Bool[np.ndarray, " n"]
    """Points that may be of something else."""
    weight: Float[np.ndarray, " n"]
    centre: Float[np.ndarray, " 3"]
    camera: Camera

    def blurred(self, pixels: float) -> Evidence:
        """With that much more spread: far minima attract, too."""
        size = np.linalg.norm(self.whiten, axis=(1, 2)) / np.sqrt(2)
        factor = 1 / np.sqrt(1 + (pixels * size) ** 2)
        blur = pixels * (self.start[:, 2] + self.centre[2]) / self.camera.fx
        return dataclasses.replace(
            self,
            whiten=self.whiten * factor[:, None, None],
            depth_spread=np.hypot(self.depth_spread, blur),
        )

    def joined(self, other: Evidence) -> Evidence:
        names = [f.name for f in dataclasses.fields(self) if f.name not in ("centre", "camera")]
        both: dict[str, Any] = {
            n: np.concatenate([getattr(self, n), getattr(other, n)]) for n in names
        }
        return dataclasses.replace(self, **both)

    def project(self, moved: Float[np.ndarray, "h n 3"]) -> Float[np.ndarray, "h n 2"]:
        camera, places = self.camera, moved + self.centre
        z = np.maximum(places[..., 2:], NEAREST)
        shifted = places[..., :2] * (camera.fx, camera.fy) + (camera.tx, camera.ty)
        return shifted / z + (camera.cx, camera.cy)

    def residuals(
        self, moved: Float[np.ndarray, "h n 3"]
    ) -> tuple[Float[np.ndarray, "h n 2"], Float[np.ndarray, "h n"]]:
        """In standard deviations: of pixels, and of depth (0 where it is not known)."""
        pixels = np.einsum("nij,hnj->hni", self.whiten, self.project(moved) - self.pixels)
        known = np.where(np.isnan(self.depth), moved[..., 2] + self.centre[2], self.depth)
        return pixels, (moved[..., 2] + self.centre[2] - known) / self.depth_spread

    def slopes(
        self, moved: Float[np.ndarray, "h n 3"], jacobian: Float[np.ndarray, "h n 3 k"]
    ) -> Float[np.ndarray, "h n 3 k"]:
        """Of the residuals, pixels and then depth, by the parameters."""
        places = moved + self.centre
        z = np.maximum(places[..., 2:], NEAREST)
        focal = np.array([self.camera.fx, self.camera.fy])
        shift = (self.project(moved) - (self.camera.cx, self.camera.cy)) / z
        flat = (jacobian[..., :2, :] * (focal / z)[..., None]) - (
            shift[..., None] * jacobian[..., 2:, :]
        )
        known = ~np.isnan(self.depth)
        deep = jacobian[..., 2:, :] * (known / self.depth_spread)[:, None, None]
        return np.concatenate([self.whiten @ flat, deep], axis=-2)


def make_evidence(
    camera: Camera,
    start: Float[np.ndarray, "n 3"],
    pixels: Float[np.ndarray, "n 2"],
    depth: Float[np.ndarray, " n"],
    spread: float,
    depth_spread: Float[np.ndarray, " n"] | None = None,
    robust: bool = False,
) -> Evidence:
    """Of points before [m] and after (undistorted pixels, depth) with their spread [px, m]."""
    count, centre = len(start), np.median(start, axis=0)
    across = spread * start[:, 2] / camera.fx
    return Evidence(
        start - centre,
        pixels,
        np.broadcast_to(np.eye(2) / spread, (count, 2, 2)),
        depth,
        across if depth_spread is None else depth_spread,
        np.full(count, robust),
        np.ones(count),
        centre,
        camera.straight(),
    )
