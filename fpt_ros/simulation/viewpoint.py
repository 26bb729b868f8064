# SPDX-License-Identifier: Apache-2.0
"""Where a clip is filmed from: a camera that stands still, or one that moves between frames."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.simulation.camera import Camera

if TYPE_CHECKING:
    import mujoco
    from jaxtyping import Bool, Float

SLOWEST, FASTEST = 0.006, 0.2
"""A moving camera's steps shift the picture by about so much, in image sides."""
SHAKE = 0.01
"""Most that a hand's shake shifts the picture."""
CLEARANCE = 0.03
"""Metres between the camera and any body."""


@dataclass(frozen=True)
class Viewpoint:
    """Arguments of `Camera.looking_at`: metres and degrees."""

    target: Float[np.ndarray, " 3"]
    azimuth: float
    elevation: float
    distance: float
    fovy: float
    roll: float

    def camera(self, size: int) -> Camera:
        return Camera.looking_at(
            self.target, self.azimuth, self.elevation, self.distance, self.fovy, size, size,
            self.roll,
        )  # fmt: skip

    @property
    def width(self) -> float:
        """Metres that the picture shows at the target."""
        return 2 * self.distance * np.tan(np.radians(self.fovy) / 2)


def still(view: Viewpoint, frames: int, size: int) -> list[Camera]:
    return [view.camera(size)] * frames


def moving(view: Viewpoint, frames: int, size: int, rng: np.random.Generator) -> list[Camera]:
    """Cameras that travel: along with the target, round it, towards it, or by a hand's shake.

    Steps are from hardly visible to large; some paths turn back.
    """
    velocity, shake = random_velocity(view, rng), rng.uniform(0, SHAKE) * (rng.random() < 0.6)
    times = np.cumsum(rng.uniform(0.3, 1.0, frames))
    if rng.random() < 0.4:
        times = 0.5 * times[-1] * np.sin(np.pi * rng.uniform(0.8, 2) * times / times[-1])
    times -= rng.choice(times)
    return [shaken(moved(view, velocity, t), shake, rng).camera(size) for t in times]


def random_velocity(view: Viewpoint, rng: np.random.Generator) -> Float[np.ndarray, " 7"]:
    """Of the target (x, y, z), azimuth, elevation, distance and roll, in each step."""
    size = np.exp(rng.uniform(np.log(SLOWEST), np.log(FASTEST)))
    angle = np.degrees(size * view.width / view.distance)
    scale = np.array(
        [*[size * view.width] * 3, 2 * angle, 1.5 * angle, size * view.distance, 20 * size]
    )
    direction = rng.normal(0, 0.6, 7)
    kind = rng.choice(["travel", "orbit", "both"])
    if kind == "travel":
        direction[3:] = 0
    elif kind == "orbit":
        direction[:3] = 0
    direction[5:] *= rng.random() < 0.5
    return scale * direction


def moved(view: Viewpoint, velocity: Float[np.ndarray, " 7"], time: float) -> Viewpoint:
    azimuth, elevation, distance, roll = time * velocity[3:]
    return replace(
        view,
        target=view.target + time * velocity[:3],
        azimuth=view.azimuth + azimuth,
        elevation=float(np.clip(view.elevation + elevation, 5, 80)),
        distance=max(view.distance + distance, 0.5 * view.distance),
        roll=view.roll + roll,
    )


def shaken(view: Viewpoint, size: float, rng: np.random.Generator) -> Viewpoint:
    angle = np.degrees(size * view.width / view.distance)
    return replace(
        view,
        target=view.target + rng.normal(0, size * view.width, 3),
        azimuth=view.azimuth + rng.normal(0, angle),
        elevation=view.elevation + rng.normal(0, angle),
        roll=view.roll + rng.normal(0, angle),
    )


def is_clear(model: mujoco.MjModel, data: mujoco.MjData, camera: Camera) -> bool:
    """Whether the camera is outside all bodies: of their geoms' boxes, and above the planes."""
    local = np.einsum(
        "gji,gj->gi", data.geom_xmat.reshape(-1, 3, 3), camera.position - data.geom_xpos
    )
    box = model.geom_aabb.reshape(-1, 2, 3)
    within: Bool[np.ndarray, " g"] = (np.abs(local - box[:, 0]) < box[:, 1] + CLEARANCE).all(1)
    drawn = model.geom_rgba[:, 3] > 0
    return not (within & drawn).any()
