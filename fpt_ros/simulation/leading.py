# SPDX-License-Identifier: Apache-2.0
"""A fingertip that holds a point of a part and leads it along a path, until its force gives way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mujoco
import numpy as np

from fpt_ros.simulation.fingertip import HEAVIEST, STRONGEST, TIMESTEP

if TYPE_CHECKING:
    from jaxtyping import Float

STIFFNESS = 1000.0
"""Newtons per metre between where the finger is to be and the held point, as of a compliant arm."""
SPEED, HOLDING = 0.1, 0.25
"""Metres per second along the path, and seconds that the finger stays at its end."""
FASTEST = 250.0
"""Radians per second that a light part swings at most on the spring: a limit of the time step."""


class LeadingFinger:
    """A spring between the fingertip and a point of a part.

    It gives way for good where it would pull with more than STRONGEST: where the path leads 2.5 cm
    beside what the part's joint allows, or on beyond its stop. Joints have no friction from
    sideways force.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        data: mujoco.MjData,
        body: int,
        point: Float[np.ndarray, " 3"],
    ) -> None:
        """Args:
        data: the scene at rest (after `mj_forward`); moves with every `lead`.
        point: of the body, metres in the world.
        """
        self.model, self.data, self.body = model, data, body
        self.local = data.xmat[body].reshape(3, 3).T @ (point - data.xpos[body])
        self.target = np.array(point, float)
        self.holds = True

    @property
    def place(self) -> Float[np.ndarray, " 3"]:
        """Where the held point is, metres in the world."""
        return self.data.xpos[self.body] + self.data.xmat[self.body].reshape(3, 3) @ self.local

    def lead(self, path: Float[np.ndarray, "n 3"]) -> bool:
        """Along straight lines through these points [m, world]; whether the finger still holds."""
        usual = self.model.opt.timestep
        self.model.opt.timestep = TIMESTEP
        for end in path:
            start = self.target
            steps = max(round(float(np.linalg.norm(end - start)) / (SPEED * TIMESTEP)), 1)
            for step in range(steps):
                self._pull(start + (end - start) * (step + 1) / steps)
        for _ in range(round(HOLDING / TIMESTEP)):
            self._pull(self.target)
        self.model.opt.timestep = usual
        mujoco.mj_forward(self.model, self.data)
        return self.holds

    def _pull(self, target: Float[np.ndarray, " 3"]) -> None:
        """One time step; none when the hold is lost."""
        error = target - self.place
        self.holds &= bool(STIFFNESS * np.linalg.norm(error) <= STRONGEST)
        self.data.qfrc_applied[:] = 0
        if not self.holds:
            return
        self.target = target
        shift = np.zeros((3, self.model.nv))
        mujoco.mj_jac(self.model, self.data, shift, None, self.place, self.body)
        solved = np.zeros_like(shift)
        mujoco.mj_solveM(self.model, self.data, solved, shift)
        mobility, axes = np.linalg.eigh(shift @ solved.T)
        mass = 1 / np.maximum(mobility, 1 / HEAVIEST)
        spring = np.minimum(STIFFNESS, mass * FASTEST**2)
        speed = axes.T @ (shift @ self.data.qvel)
        force = spring * (axes.T @ error) - 2 * np.sqrt(spring * mass) * speed
        self.data.qfrc_applied[:] = shift.T @ (axes @ force)
        mujoco.mj_step(self.model, self.data)
