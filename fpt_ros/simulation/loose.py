"""Loose things on a procedural table, and the two mechanisms kept for the unseen scene type."""

from __future__ import annotations

import mujoco
import numpy as np

from fpt_ros.simulation.things import (
    BOX,
    CAPSULE,
    CYLINDER,
    JOINT,
    SPHERE,
    Builder,
    Spot,
    X,
    case,
)


def block(spot: Spot, body: mujoco.MjsBody) -> float:
    w, d, h = (spot.uniform(0.015, 0.06) for _ in range(3))
    spot.part(BOX, [w, d, h], (0, 0, 0), 0, body, "free")
    return h


def can(spot: Spot, body: mujoco.MjsBody) -> float:
    r, h = spot.uniform(0.015, 0.05), spot.uniform(0.012, 0.08)
    spot.part(CYLINDER, [r, h], (0, 0, 0), 0, body, "free")
    return h


def mug(spot: Spot, body: mujoco.MjsBody) -> float:
    r, h = spot.uniform(0.025, 0.045), spot.uniform(0.03, 0.055)
    spot.part(CYLINDER, [r, h], (0, 0, 0), 0, body, "free")
    for z in (-0.5 * h, 0.5 * h):
        spot.part(BOX, [0.4 * r, 0.005, 0.005], (1.3 * r, 0, z), 1, body, "free")
    spot.part(BOX, [0.005, 0.005, 0.5 * h + 0.005], (1.7 * r, 0, 0), 1, body, "free")
    return h


def bottle(spot: Spot, body: mujoco.MjsBody) -> float:
    r, h = spot.uniform(0.02, 0.035), spot.uniform(0.04, 0.07)
    neck = spot.uniform(0.015, 0.03)
    spot.part(CYLINDER, [r, h], (0, 0, 0), 0, body, "free")
    spot.part(CYLINDER, [0.45 * r, neck], (0, 0, h + neck), 0, body, "free")
    spot.part(CYLINDER, [0.55 * r, 0.008], (0, 0, h + 2 * neck + 0.008), 1, body, "free")
    return h


def hammer(spot: Spot, body: mujoco.MjsBody) -> float:
    length, thick = spot.uniform(0.06, 0.12), spot.uniform(0.008, 0.014)
    head = spot.uniform(1.3, 2.0) * thick
    spot.part(CAPSULE, [thick, length], (0, 0, 0), 0, body, "free", (0, np.pi / 2, 0))
    spot.part(BOX, [head, spot.uniform(0.02, 0.05), head], (length, 0, 0), 1, body, "free")
    return head


def ball(spot: Spot, body: mujoco.MjsBody) -> float:
    r = spot.uniform(0.02, 0.045)
    spot.part(SPHERE, [r], (0, 0, 0), 0, body, "free")
    return r


LOOSE = {"block": block, "can": can, "mug": mug, "bottle": bottle, "hammer": hammer, "ball": ball}
"""Each builds into a free body and returns the height of its centre above the table."""


def laptop(spot: Spot) -> None:
    """A clamshell: a flat keyboard half with keys, and a screen on a hinge at its back."""
    w, d, t = spot.uniform(0.1, 0.17), spot.uniform(0.07, 0.12), spot.uniform(0.006, 0.012)
    spot.part(BOX, [w, d, t], (0, 0, t))
    for row in range(4):
        y = d * (0.5 - 0.25 * row)
        spot.part(BOX, [0.85 * w, 0.09 * d, 0.002], (0, y, 2 * t + 0.002), 2)
    body = spot.moving(JOINT.mjJNT_HINGE, X, (-0.5, 1.5), (0, d, 2 * t + 0.004))
    spot.part(BOX, [w, t * 0.7, d], (0, 0, d), 1, body, "mechanism")
    spot.part(BOX, [0.9 * w, 0.001, 0.85 * d], (0, -t * 0.7, d), 2, body, "mechanism")


def sliding_doors(spot: Spot) -> None:
    """A wide cabinet whose two doors slide past each other, each on its own track."""
    w, d, h = spot.uniform(0.13, 0.2), spot.uniform(0.05, 0.1), spot.uniform(0.07, 0.13)
    case(spot, w, d, h, "front")
    spot.part(BOX, [w, d * 0.9, 0.005], (0, 0, h))
    half = 0.52 * w
    for track, side in enumerate((-1, 1)):
        y, travel = -d + 0.008 + 0.014 * track, 2 * (w - half)
        span = (0.0, travel) if side < 0 else (-travel, 0.0)
        body = spot.moving(JOINT.mjJNT_SLIDE, X, span, (side * (w - half), y, h))
        spot.part(BOX, [half, 0.005, h - 0.007], (0, 0, 0), 1 + track, body, "mechanism")
        grip = (side * 0.75 * half, -0.006, 0)
        spot.part(CYLINDER, [0.014, 0.002], grip, 0, body, "mechanism", (np.pi / 2, 0, 0))


UNSEEN: dict[str, tuple[Builder, float]] = {
    "laptop": (laptop, 0.24),
    "sliding_doors": (sliding_doors, 0.24),
}
"""Mechanisms of the held-out scene type; never in training."""
