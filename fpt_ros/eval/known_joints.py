# SPDX-License-Identifier: Apache-2.0
"""A simulated scene whose joint is known: where its part is, and how it truly moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fpt_ros.geometry import Camera
from fpt_ros.simulation.joint_scenes import JointScene

if TYPE_CHECKING:
    from jaxtyping import Float

SIZE = 480
"""Side of the pictures, pixels."""
JUDGED = 300
"""Points of the part that answers are judged on."""


class KnownJoint:
    """One scene, seen by a camera with exact depth."""

    def __init__(self, scene: JointScene, number: int, rng: np.random.Generator) -> None:
        self.scene, self.rng = scene, rng
        focal, middle = scene.camera.focal, SIZE / 2 - 0.5
        self.camera = Camera(focal, focal, middle, middle, SIZE, SIZE)
        self.depth = scene.before.depth
        rows, columns = np.nonzero(scene.mask)
        self.part = np.column_stack([columns, rows]).astype(float)
        chosen = np.linspace(0, len(self.part) - 1, min(JUDGED, len(self.part))).astype(int)
        self.points = scene.surface(self.part[chosen])
        self.about: dict[str, Any] = {
            "scene": number,
            "name": scene.name,
            "hinge": bool(scene.hinge),
            "tilted": scene.tilted,
        }

    def some(self, count: int) -> Float[np.ndarray, "n 2"]:
        """Random pixels of the part."""
        return self.part[self.rng.integers(len(self.part), size=count)]

    def flow(self, pixels: Float[np.ndarray, "n 2"], way: float) -> Float[np.ndarray, "n 2"]:
        """Exact, pixels."""
        points = self.scene.surface(pixels)
        return self.camera.project(points + self.truth(points, way)) - pixels

    def truth(self, points: Float[np.ndarray, "n 3"], way: float) -> Float[np.ndarray, "n 3"]:
        """Exact displacements, metres."""
        return self.scene.move(points, self.scene.after[way][1])
