# SPDX-License-Identifier: Apache-2.0
"""A place on a procedural table, and how things are put together there.

A thing's front faces the spot's -y. Sizes are half sizes in metres, as in MuJoCo.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

GEOM, JOINT = mujoco.mjtGeom, mujoco.mjtJoint
BOX, CYLINDER, CAPSULE, SPHERE = (
    GEOM.mjGEOM_BOX,
    GEOM.mjGEOM_CYLINDER,
    GEOM.mjGEOM_CAPSULE,
    GEOM.mjGEOM_SPHERE,
)
FREE_JOINT = JOINT.mjJNT_FREE
X, Y, Z = (1, 0, 0), (0, 1, 0), (0, 0, 1)
COLLISION = {"fixed": (1, 0), "mechanism": (2, 0), "free": (4, 7)}
"""contype, conaffinity: free bodies meet everything, parts of mechanisms only free bodies."""
FRICTION = {"fixed": (0.2, 0.5), "mechanism": (0.3, 0.9), "free": (0.25, 0.9)}
"""Sliding friction; of two bodies in contact the larger one counts."""


@dataclass
class Spot:
    """Where a thing is built: its fixed body, its palette of materials, and the dice.

    scale: of all that is built here. world: the body that loose things belong to.
    """

    body: mujoco.MjsBody
    palette: list[str]
    rng: np.random.Generator
    world: mujoco.MjsBody | None = None
    scale: float = 1.0

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def part(
        self,
        shape: mujoco.mjtGeom,
        size: list[float],
        pos: tuple[float, ...] = (0, 0, 0),
        colour: int = 0,
        on: mujoco.MjsBody | None = None,
        role: str = "fixed",
        euler: tuple[float, float, float] = (0, 0, 0),
        quat: np.ndarray | None = None,
    ) -> None:
        """Add a geom; `colour` is an index into the palette, `euler` in radians: about x, then
        about the y and the z that have turned with it."""
        if quat is None:
            quat = np.zeros(4)
            mujoco.mju_euler2Quat(quat, np.array(euler, float), "xyz")
        contype, conaffinity = COLLISION[role]
        (on or self.body).add_geom(
            type=shape,
            size=[self.scale * s for s in size] + [0.0] * (3 - len(size)),
            pos=[self.scale * p for p in pos],
            quat=quat,
            material=self.palette[colour % len(self.palette)],
            density=400,
            friction=[self.uniform(*FRICTION[role]), 0.005, 0.0001],
            contype=contype,
            conaffinity=conaffinity,
        )

    def moving(
        self,
        joint: mujoco.mjtJoint,
        axis: tuple[float, float, float],
        span: tuple[float, float],
        pos: tuple[float, ...],
        on: mujoco.MjsBody | None = None,
    ) -> mujoco.MjsBody:
        """A child body on a joint with limits (radians or metres) and friction that holds it."""
        body = (on or self.body).add_body(pos=[self.scale * p for p in pos])
        metres = self.scale if joint == JOINT.mjJNT_SLIDE else 1.0
        body.add_joint(
            type=joint,
            axis=axis,
            range=[metres * s for s in span],
            limited=True,
            damping=0.02,
            frictionloss=0.05 if joint == JOINT.mjJNT_HINGE else 0.5,
            armature=0.001,
        )
        body.gravcomp = 1.0
        return body

    def turned(
        self, pos: tuple[float, ...], axis: tuple[float, float, float], angle: float
    ) -> mujoco.MjsBody:
        """A fixed body at `pos`, turned about an axis [rad]."""
        quat = np.zeros(4)
        mujoco.mju_axisAngle2Quat(quat, np.array(axis, float), angle)
        return self.body.add_body(pos=[self.scale * p for p in pos], quat=quat)

    def loose(self, pos: tuple[float, ...]) -> mujoco.MjsBody:
        """A free body whose middle is at `pos`, as seen from the spot."""
        assert self.world is not None
        place = np.zeros(3)
        mujoco.mju_rotVecQuat(place, self.scale * np.array(pos, float), self.body.quat)
        body = self.world.add_body(pos=self.body.pos + place, quat=self.body.quat)
        body.add_joint(type=FREE_JOINT)
        return body

    def handle(self, on: mujoco.MjsBody, pos: tuple[float, float, float], width: float) -> None:
        """A knob or a bar in front of a panel, or now and then nothing."""
        kind = self.rng.choice(["knob", "bar", "plate", "none"], p=[0.4, 0.4, 0.1, 0.1])
        x, y, z = pos
        if kind == "knob":
            r = self.uniform(0.008, 0.016)
            self.part(SPHERE, [r], (x, y - r, z), 2, on, "mechanism")
        elif kind == "bar":
            half = min(width * 0.6, 0.06)
            self.part(
                CAPSULE, [0.006, half], (x, y - 0.016, z), 2, on, "mechanism", (0, np.pi / 2, 0)
            )
        elif kind == "plate":
            self.part(
                BOX, [min(width * 0.5, 0.04), 0.006, 0.01], (x, y - 0.006, z), 2, on, "mechanism"
            )


def case(spot: Spot, w: float, d: float, h: float, open_side: str, t: float = 0.006) -> None:
    """A box of panels with half sizes w, d, h, standing on the table, one side missing."""
    panels = {
        "left": ([t, d, h], (-w, 0, h)),
        "right": ([t, d, h], (w, 0, h)),
        "back": ([w, t, h], (0, d, h)),
        "front": ([w, t, h], (0, -d, h)),
        "bottom": ([w, d, t], (0, 0, t)),
        "top": ([w, d, t], (0, 0, 2 * h)),
    }
    for side, (size, pos) in panels.items():
        if side != open_side:
            spot.part(BOX, size, pos)
