# SPDX-License-Identifier: Apache-2.0
"""Robot arms: on the table, or reaching in from beyond the picture."""

from __future__ import annotations

import mujoco
import numpy as np

from fpt_ros.simulation.spot import BOX, CAPSULE, CYLINDER, JOINT, SPHERE, Spot, X, Y, Z

HINGE, SLIDE = JOINT.mjJNT_HINGE, JOINT.mjJNT_SLIDE


def arm(spot: Spot) -> None:
    """A turning pedestal or a rail, two to five links, and a gripper, a hook or a suction cup."""
    r, h = spot.uniform(0.025, 0.05), spot.uniform(0.02, 0.05)
    on, at = base(spot, r, h)
    thick, pitch = 0.6 * r, spot.uniform(0.3, 0.8)
    links = int(spot.rng.integers(2, 6))
    length = spot.uniform(0.22, 0.36) / links
    for link in range(links):
        low = -0.3 if link else 0.1
        on = spot.moving(HINGE, X, (low, low + pitch * 4 / links), at, on)
        half = length * spot.uniform(0.8, 1.2) / 2 * (2 if links < 4 else 1.6)
        limb(spot, on, thick, half, 1 + link)
        at, thick = (0.0, 0.0, 2 * half), 0.88 * thick
        if spot.chance(0.25):
            on = spot.moving(HINGE, Z, (-1.6, 1.6), at, on)
            spot.part(CYLINDER, [1.1 * thick, 0.012], (0, 0, 0.012), link, on, "mechanism")
            at = (0.0, 0.0, 0.024)
    hand(spot, on, at, thick)


def base(spot: Spot, r: float, h: float) -> tuple[mujoco.MjsBody, tuple[float, float, float]]:
    """What the first link stands on, or hangs from, and where."""
    kind = spot.rng.choice(["table", "rail", "hanging", "side"], p=[0.45, 0.15, 0.2, 0.2])
    if kind == "rail":
        half = spot.uniform(0.08, 0.15)
        spot.part(BOX, [half, r, 0.012], (0, 0, 0.012))
        on = spot.moving(SLIDE, X, (-half, half), (0, 0, 0.024))
        spot.part(BOX, [r, r, h], (0, 0, h), 1, on, "mechanism")
        return on, (0.0, 0.0, 2 * h)
    root = spot.body
    if kind == "hanging":
        root = spot.turned((spot.uniform(-0.1, 0.1), 0.05, spot.uniform(0.38, 0.5)), Y, np.pi)
        spot.part(CAPSULE, [0.6 * r, 0.4], (0, 0, -0.4), 0, root)
    elif kind == "side":
        side = -1 if spot.chance(0.5) else 1
        at = (side * spot.uniform(0.25, 0.4), 0.02, spot.uniform(0.06, 0.25))
        root = spot.turned(at, Y, -side * spot.uniform(0.9, 1.8))
        spot.part(CAPSULE, [0.6 * r, 0.4], (0, 0, -0.4), 0, root)
    spot.part(CYLINDER, [1.3 * r, h], (0, 0, h), 0, root)
    on = spot.moving(HINGE, Z, (-2.0, 2.0), (0, 0, 2 * h), root)
    spot.part(CYLINDER, [r, 0.02], (0, 0, 0.02), 1, on, "mechanism")
    return on, (0.0, 0.0, 0.03)


def limb(spot: Spot, on: mujoco.MjsBody, thick: float, half: float, colour: int) -> None:
    """A link along z, of one piece or with a joint's housing at its root."""
    kind = spot.rng.choice(["capsule", "box", "thin", "pair"])
    if kind == "pair":
        for side in (-0.7 * thick, 0.7 * thick):
            spot.part(
                BOX, [0.25 * thick, 0.8 * thick, half], (side, 0, half), colour, on, "mechanism"
            )
    elif kind == "box":
        spot.part(BOX, [thick, thick, half], (0, 0, half), colour, on, "mechanism")
    else:
        width = thick if kind == "capsule" else 0.6 * thick
        spot.part(CAPSULE, [width, half], (0, 0, half), colour, on, "mechanism")
    if spot.chance(0.6):
        size, turn = [1.15 * thick, 1.15 * thick], (0, np.pi / 2, 0)
        spot.part(CYLINDER, size, (0, 0, 0), colour + 1, on, "mechanism", turn)


def hand(spot: Spot, on: mujoco.MjsBody, at: tuple[float, float, float], thick: float) -> None:
    kind = spot.rng.choice(["gripper", "fixed gripper", "cup", "ball"], p=[0.45, 0.3, 0.15, 0.1])
    x, y, z = at
    if kind == "cup":
        spot.part(CYLINDER, [0.4 * thick, 0.02], (x, y, z + 0.02), 2, on, "mechanism")
        spot.part(CYLINDER, [1.4 * thick, 0.006], (x, y, z + 0.045), 2, on, "mechanism")
        return
    if kind == "ball":
        spot.part(SPHERE, [1.5 * thick], (x, y, z + thick), 2, on, "mechanism")
        return
    wide, long = spot.uniform(0.02, 0.035), spot.uniform(0.015, 0.03)
    spot.part(BOX, [wide + 0.006, 0.012, 0.012], (x, y, z + 0.01), 2, on, "mechanism")
    for side in (-1, 1):
        place, finger = (x + side * 0.8 * wide, y, z + 0.02 + long), on
        if kind == "gripper":
            span = (-0.6 * wide, 0.2 * wide) if side > 0 else (-0.2 * wide, 0.6 * wide)
            finger, place = spot.moving(SLIDE, X, span, place, on), (0.0, 0.0, 0.0)
        spot.part(BOX, [0.005, 0.01, long], place, 2, finger, "mechanism")
