"""Loose things that stand on a procedural table."""

from __future__ import annotations

import mujoco
import numpy as np

from fpt_ros.simulation.spot import (
    BOX,
    CAPSULE,
    CYLINDER,
    SPHERE,
    Spot,
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
