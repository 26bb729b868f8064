# SPDX-License-Identifier: Apache-2.0
"""Exact flow: visible points fixed to their bodies, moved with them, and projected again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import mujoco
    from jaxtyping import Float, Int

    from fpt_ros.simulation.camera import Camera

SMALLEST_MOTION = 1e-3
"""A point counts as moving when its flow is longer than this, in image sides."""
SHORTEST, LONGEST = 0.025, 0.40
"""A future is kept when its moving points' 90th percentile of flow lies between these."""
FEWEST_MOVING = 8


@dataclass(frozen=True)
class Poses:
    """Where every body is: positions in metres, rotation matrices body to world."""

    positions: Float[np.ndarray, "bodies 3"]
    rotations: Float[np.ndarray, "bodies 3 3"]

    @classmethod
    def of(cls, data: mujoco.MjData) -> Poses:
        return cls(data.xpos.copy(), data.xmat.reshape(-1, 3, 3).copy())


def moved_points(
    points: Float[np.ndarray, "n 3"], bodies: Int[np.ndarray, " n"], start: Poses, end: Poses
) -> Float[np.ndarray, "n 3"]:
    """World points fixed to their bodies at `start`, as they lie at `end`."""
    local = np.einsum("nji,nj->ni", start.rotations[bodies], points - start.positions[bodies])
    moved = np.einsum("nij,nj->ni", end.rotations[bodies], local) + end.positions[bodies]
    changed = (start.positions != end.positions).any(1)
    changed |= (start.rotations != end.rotations).any((1, 2))
    return np.where(changed[bodies, None], moved, points)


def exact_flow(
    camera: Camera,
    points: Float[np.ndarray, "n 3"],
    bodies: Int[np.ndarray, " n"],
    start: Poses,
    end: Poses,
) -> Float[np.ndarray, "n 2"] | None:
    """Displacement in pixels of world points fixed to bodies; None when one goes behind the
    camera."""
    before, _ = camera.project(points)
    after, depth = camera.project(moved_points(points, bodies, start, end))
    return after - before if depth.min() > 0.05 else None


def worth_keeping(flow: Float[np.ndarray, "n 2"]) -> bool:
    """Whether enough moves, and neither too little nor too far. Flow in image sides."""
    lengths = np.linalg.norm(flow, axis=1)
    moving = lengths[lengths > SMALLEST_MOTION]
    if len(moving) < FEWEST_MOVING:
        return False
    return SHORTEST <= np.percentile(moving, 90) <= LONGEST
