# SPDX-License-Identifier: Apache-2.0
"""A simulated robot before a part that it is to open: one camera with depth, and a fingertip.

It speaks of everything in the camera's optical frame, in metres; pixel (0, 0) is the centre of the
first one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.geometry import Camera
from fpt_ros.simulation.joint_scenes import noisy_depth
from fpt_ros.simulation.leading import LeadingFinger
from fpt_ros.simulation.rendering import FAR

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

    from fpt_ros.simulation.opening_tasks import OpeningTask
    from fpt_ros.simulation.rendering import Renderer


@dataclass(frozen=True)
class Look:
    """What the camera sees, and where the held point is then."""

    image: UInt8[np.ndarray, "s s 3"]
    depth: Float[np.ndarray, "s s"]
    """Noisy, NaN for holes."""
    place: Float[np.ndarray, " 3"]


class Robot:
    """Holds the handle point of a task from the beginning."""

    def __init__(self, task: OpeningTask, renderer: Renderer, seed: int) -> None:
        self.task, self.renderer = task, renderer
        self.rng = np.random.default_rng(seed)
        self.data = task.at_rest()
        body = int(task.model.jnt_bodyid[task.joint])
        self.finger = LeadingFinger(task.model, self.data, body, task.handle)
        size, focal = task.camera.width, task.camera.focal
        middle = size / 2 - 0.5
        self.camera = Camera(focal, focal, middle, middle, size, size)

    @property
    def place(self) -> Float[np.ndarray, " 3"]:
        """Of the held point."""
        return self.task.camera.axes @ (self.finger.place - self.task.camera.position)

    @property
    def direction(self) -> Float[np.ndarray, " 3"]:
        """In which the task says that the part opens at first, roughly."""
        return self.task.camera.axes @ self.task.direction

    def lead(self, path: Float[np.ndarray, "n 3"]) -> bool:
        """The held point along a path; whether the finger still holds it."""
        return self.finger.lead(path @ self.task.camera.axes + self.task.camera.position)

    def look(self) -> Look:
        """A picture with depth; the finger is not in it."""
        depth, _ = self.renderer.geometry(self.data, self.task.camera)
        seen = np.where(depth > 0.99 * FAR, np.nan, depth)
        return Look(self.picture(), noisy_depth(seen, self.rng), self.place)

    def picture(self) -> UInt8[np.ndarray, "s s 3"]:
        """As the camera shows the scene now."""
        dark = self.renderer.colour(self.data, self.task.camera)
        return np.uint8(np.clip(dark * self.task.gain, 0, 255))
