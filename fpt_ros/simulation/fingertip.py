# SPDX-License-Identifier: Apache-2.0
"""A fingertip that takes hold of a surface point and draws it to where the camera shall see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import mujoco
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float

    from fpt_ros.simulation.camera import Camera

STRONGEST = 25.0
"""Newtons along each principal direction of the held point."""
MOVING, HOLDING = 1.0, 0.6
"""Seconds that the finger takes to its target, and then stays there."""
TIMESTEP = 0.002
FARTHEST = 0.4
"""Metres that a loose thing is drawn at most: a flat view makes far targets of small shifts."""
STIFFNESS, INTEGRAL, DAMPING = 1600.0, 20000.0, 80.0
"""Of the held point's acceleration: per metre, metre second, and metre per second of error."""
TWIST_DAMPING = 0.3
"""N m per rad / s: a loose thing hardly turns under the finger, as in a grasp or a suction cup."""
HEAVIEST = 5.0
"""Kilograms: directions in which the point seems heavier are those that its joints forbid."""


@dataclass(frozen=True)
class Touch:
    """A surface point: body and place [m] in the world. A finger takes hold of it there."""

    body: int
    point: Float[np.ndarray, " 3"]


def draw(
    model: mujoco.MjModel,
    data: mujoco.MjData,
    camera: Camera,
    touch: Touch,
    displacement: Float[np.ndarray, " 2"],
    watch: Callable[[float, Float[np.ndarray, " 3"]], None] | None = None,
) -> None:
    """Let physics run in `data` while a finger draws the touched point by `displacement`.

    The finger pulls with limited force, as an arm with compliant joints would. A part of a
    mechanism is drawn towards the target's line of sight and its joints decide how far away it
    ends; a loose thing is drawn level, along the table. Everything else obeys contact, friction
    and joint limits. What cannot move is not moved: the finger only strains.

    Args:
        data: the scene at rest (after `mj_forward`); ends with the finger still holding.
        displacement: of the touched point in the image, pixels.
        watch: called after each step with the time [s] and the held point [m].
    """
    usual = model.opt.timestep, model.dof_damping.copy()
    model.opt.timestep = TIMESTEP
    grip = _Grip(model, data, camera, touch, np.asarray(displacement, float))
    try:
        for step in range(round((MOVING + HOLDING) / TIMESTEP)):
            time = step * TIMESTEP
            point = grip.pull((1 - np.cos(np.pi * min(time / MOVING, 1))) / 2)
            mujoco.mj_step(model, data)
            if watch:
                watch(time, point)
        data.qfrc_applied[:] = 0
        mujoco.mj_forward(model, data)
    finally:
        model.opt.timestep, model.dof_damping[:] = usual


class _Grip:
    """Where the finger holds, where it wants to be, and what it remembers of its error."""

    def __init__(
        self,
        model: mujoco.MjModel,
        data: mujoco.MjData,
        camera: Camera,
        touch: Touch,
        displacement: Float[np.ndarray, " 2"],
    ) -> None:
        self.model, self.data, self.camera, self.body = model, data, camera, touch.body
        rotation = data.xmat[touch.body].reshape(3, 3)
        self.local = rotation.T @ (touch.point - data.xpos[touch.body])
        self.start, self.displacement = touch.point, displacement
        self.loose = bool(model.body_dofnum[model.body_rootid[touch.body]] == 6)
        self.sum = np.zeros(3)
        if self.loose:
            spin = model.body_dofadr[model.body_rootid[touch.body]] + 3
            model.dof_damping[spin : spin + 3] = TWIST_DAMPING

    def pull(self, share: float) -> Float[np.ndarray, " 3"]:
        """Set the forces for this step, on the way to `share` of the displacement; where it is."""
        data, model = self.data, self.model
        rotation = data.xmat[self.body].reshape(3, 3)
        point = data.xpos[self.body] + rotation @ self.local
        data.qfrc_applied[:] = 0
        shift = np.zeros((3, model.nv))
        mujoco.mj_jac(model, data, shift, None, point, self.body)
        if not shift.any():
            return point
        solved = np.zeros_like(shift)
        mujoco.mj_solveM(model, data, solved, shift)
        mobility, axes = np.linalg.eigh(shift @ solved.T)
        mass = 1 / np.maximum(mobility, 1 / HEAVIEST)
        error = axes.T @ (self._target(share, point) - point)
        wanted = STIFFNESS * error - DAMPING * (axes.T @ (shift @ data.qvel))
        force = mass * (wanted + INTEGRAL * (axes.T @ self.sum))
        free = (np.abs(force) < STRONGEST) & (mobility > 1 / HEAVIEST)
        self.sum += TIMESTEP * (axes @ np.where(free, error, 0))
        data.qfrc_applied[:] = shift.T @ (axes @ np.clip(force, -STRONGEST, STRONGEST))
        return point

    def _target(self, share: float, point: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 3"]:
        pixel, _ = self.camera.project(self.start[None])
        [end] = self.camera.back_project(pixel + share * self.displacement, np.ones(1))
        ray = (end - self.camera.position) / np.linalg.norm(end - self.camera.position)
        drop = self.start[2] - self.camera.position[2]
        if self.loose and drop * ray[2] > 0:
            level = self.camera.position + drop / ray[2] * ray - self.start
            length = max(float(np.linalg.norm(level)), 1e-9)
            return self.start + level * min(1, FARTHEST / length)
        return self.camera.position + ray * ((point - self.camera.position) @ ray)
