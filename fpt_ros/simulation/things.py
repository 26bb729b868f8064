"""Things that stand on a procedural table: what each is made of and how its parts move.

Each builder adds one thing to a `Spot` and returns nothing; the thing's front faces the spot's
-y. Sizes are half sizes in metres, as in MuJoCo.
"""

from __future__ import annotations

from collections.abc import Callable
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


@dataclass
class Spot:
    """Where a thing is built: its fixed body, its palette of materials, and the dice."""

    body: mujoco.MjsBody
    palette: list[str]
    rng: np.random.Generator

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
    ) -> None:
        """Add a geom; `colour` is an index into the palette, `euler` in radians (x, y, z)."""
        quat = np.zeros(4)
        mujoco.mju_euler2Quat(quat, np.array(euler, float), "xyz")
        contype, conaffinity = COLLISION[role]
        (on or self.body).add_geom(
            type=shape,
            size=size + [0.0] * (3 - len(size)),
            pos=pos,
            quat=quat,
            material=self.palette[colour % len(self.palette)],
            density=400,
            contype=contype,
            conaffinity=conaffinity,
        )

    def moving(
        self,
        joint: mujoco.mjtJoint,
        axis: tuple[int, int, int],
        span: tuple[float, float],
        pos: tuple[float, ...],
        on: mujoco.MjsBody | None = None,
    ) -> mujoco.MjsBody:
        """A child body on a joint with limits (radians or metres) and friction that holds it."""
        body = (on or self.body).add_body(pos=pos)
        body.add_joint(
            type=joint,
            axis=axis,
            range=span,
            limited=True,
            damping=0.02,
            frictionloss=0.05 if joint == JOINT.mjJNT_HINGE else 0.5,
            armature=0.001,
        )
        body.gravcomp = 1.0
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


def drawers(spot: Spot) -> None:
    w, d = spot.uniform(0.08, 0.16), spot.uniform(0.08, 0.14)
    count = int(spot.rng.integers(1, 4))
    each = spot.uniform(0.03, 0.055)
    case(spot, w, d, each * count, "front")
    for level in range(count):
        z = each * (2 * level + 1)
        body = spot.moving(JOINT.mjJNT_SLIDE, (0, -1, 0), (0, 1.4 * d), (0, 0, z))
        iw, ih, low = w - 0.012, each - 0.006, -each + 0.014
        spot.part(BOX, [w - 0.004, 0.006, ih], (0, -d, 0), 1, body, "mechanism")
        spot.part(BOX, [iw, d * 0.92, 0.003], (0, 0, low), 1, body, "mechanism")
        for side in (-iw, iw):
            spot.part(BOX, [0.003, d * 0.92, ih * 0.8], (side, 0, -0.1 * ih), 1, body, "mechanism")
        spot.part(BOX, [iw, 0.003, ih * 0.8], (0, d * 0.92, -0.1 * ih), 1, body, "mechanism")
        spot.handle(body, (0, -d - 0.006, 0), w * 0.6)


def door(spot: Spot) -> None:
    w, d, h = spot.uniform(0.07, 0.15), spot.uniform(0.05, 0.12), spot.uniform(0.08, 0.16)
    case(spot, w, d, h, "front")
    if spot.chance(0.6):
        spot.part(BOX, [w, d * 0.9, 0.005], (0, 0, h), 0)
    side = -1 if spot.chance(0.5) else 1
    span = (-2.2, 0.0) if side < 0 else (0.0, 2.2)
    body = spot.moving(JOINT.mjJNT_HINGE, Z, span, (side * w, -d - 0.007, h))
    spot.part(BOX, [w, 0.006, h], (-side * w, 0, 0), 1, body, "mechanism")
    spot.handle(body, (-side * 1.75 * w, -0.006, spot.uniform(-0.3, 0.3) * h), 0.2 * w)


def lid(spot: Spot) -> None:
    w, d, h = spot.uniform(0.06, 0.15), spot.uniform(0.05, 0.12), spot.uniform(0.025, 0.08)
    case(spot, w, d, h, "top")
    body = spot.moving(JOINT.mjJNT_HINGE, (-1, 0, 0), (-1.9, 0.0), (0, d, 2 * h + 0.006))
    spot.part(BOX, [w + 0.006, d + 0.006, 0.006], (0, -d, 0), 1, body, "mechanism")
    if spot.chance(0.6):
        r = spot.uniform(0.008, 0.016)
        spot.part(SPHERE, [r], (0, -spot.uniform(1.0, 1.8) * d, r + 0.006), 2, body, "mechanism")


def lever(spot: Spot) -> None:
    w, h = spot.uniform(0.04, 0.09), spot.uniform(0.015, 0.05)
    spot.part(BOX, [w, spot.uniform(0.03, 0.07), h], (0, 0, h))
    axis = X if spot.chance(0.5) else Y
    body = spot.moving(JOINT.mjJNT_HINGE, axis, (-1.0, 1.0), (0, 0, 2 * h))
    length, thick = spot.uniform(0.05, 0.11), spot.uniform(0.006, 0.014)
    spot.part(CAPSULE, [thick, length], (0, 0, length), 1, body, "mechanism")
    end = (0, 0, 2 * length)
    if spot.chance(0.5):
        spot.part(SPHERE, [thick * spot.uniform(1.4, 2.4)], end, 2, body, "mechanism")
    elif spot.chance(0.5):
        spot.part(BOX, [thick * 3, thick * 1.3, thick * 1.3], end, 2, body, "mechanism")


def button(spot: Spot) -> None:
    w, h = spot.uniform(0.05, 0.09), spot.uniform(0.015, 0.05)
    spot.part(BOX, [w, spot.uniform(0.05, 0.09), h], (0, 0, h))
    travel, r = spot.uniform(0.03, 0.06), spot.uniform(0.025, 0.05)
    body = spot.moving(JOINT.mjJNT_SLIDE, Z, (-travel, 0), (0, 0, 2 * h + travel))
    shape = CYLINDER if spot.chance(0.7) else BOX
    size = [r, travel] if shape == CYLINDER else [r, r, travel]
    spot.part(shape, size, (0, 0, 0), 1, body, "mechanism")


def slider(spot: Spot) -> None:
    half = spot.uniform(0.1, 0.2)
    spot.part(BOX, [half, 0.02, 0.012], (0, 0, 0.012))
    if spot.chance(0.5):
        for end in (-half, half):
            spot.part(BOX, [0.008, 0.03, 0.025], (end, 0, 0.025))
    w = spot.uniform(0.02, 0.05)
    body = spot.moving(JOINT.mjJNT_SLIDE, X, (w - half, half - w), (0, 0, 0.024))
    h = spot.uniform(0.012, 0.05)
    spot.part(BOX, [w, spot.uniform(0.022, 0.05), h], (0, 0, h), 1, body, "mechanism")
    if spot.chance(0.4):
        spot.part(CYLINDER, [0.4 * w, 0.02], (0, 0, 2 * h + 0.02), 2, body, "mechanism")


def chain(spot: Spot) -> None:
    """Two to four links flat on the table, each turning about the end of the one before."""
    thick, wide = spot.uniform(0.01, 0.02), spot.uniform(0.012, 0.025)
    spot.part(CYLINDER, [wide * 1.4, thick], (0, 0, thick))
    on, at = spot.body, (0.0, 0.0, thick)
    for link in range(int(spot.rng.integers(2, 5))):
        span = (-1.5, 1.5) if link else (-3.0, 3.0)
        on = spot.moving(JOINT.mjJNT_HINGE, Z, span, at, on)
        half = spot.uniform(0.035, 0.07)
        shape = BOX if spot.chance(0.5) else CAPSULE
        size = [half, wide, thick * 0.8] if shape == BOX else [wide * 0.8, half]
        turned = (0, 0, 0) if shape == BOX else (0, np.pi / 2, 0)
        spot.part(shape, size, (half, 0, thick), 1 + link, on, "mechanism", turned)
        at = (2 * half, 0.0, spot.uniform(-0.5, 0.5) * thick)


def arm(spot: Spot) -> None:
    """A small robot: a turning pedestal, two or three pitching links, and a gripper."""
    r, h = spot.uniform(0.025, 0.05), spot.uniform(0.02, 0.05)
    spot.part(CYLINDER, [r * 1.3, h], (0, 0, h))
    on = spot.moving(JOINT.mjJNT_HINGE, Z, (-2.0, 2.0), (0, 0, 2 * h))
    spot.part(CYLINDER, [r, 0.02], (0, 0, 0.02), 1, on, "mechanism")
    at, thick = (0.0, 0.0, 0.03), r * 0.6
    spans = [(0.2, 0.9), (0.5, 1.5), (-0.5, 1.0)]
    for link in range(int(spot.rng.integers(2, 4))):
        on = spot.moving(JOINT.mjJNT_HINGE, X, spans[link], at, on)
        half = spot.uniform(0.05, 0.09)
        shape = CAPSULE if spot.chance(0.6) else BOX
        size = [thick, half] if shape == CAPSULE else [thick, thick, half]
        spot.part(shape, size, (0, 0, half), 1 + link, on, "mechanism")
        at, thick = (0.0, 0.0, 2 * half), thick * 0.85
    spot.part(BOX, [0.03, 0.012, 0.012], (0, 0, at[2] + 0.01), 2, on, "mechanism")
    for side in (-0.024, 0.024):
        spot.part(BOX, [0.005, 0.01, 0.022], (side, 0, at[2] + 0.035), 2, on, "mechanism")


Builder = Callable[[Spot], None]
MECHANISMS: dict[str, tuple[Builder, float]] = {
    "drawers": (drawers, 0.22),
    "door": (door, 0.24),
    "lid": (lid, 0.19),
    "lever": (lever, 0.14),
    "button": (button, 0.12),
    "slider": (slider, 0.20),
    "chain": (chain, 0.26),
    "arm": (arm, 0.22),
}
"""Each with the radius in metres of the room it needs on the table."""
