# SPDX-License-Identifier: Apache-2.0
"""Loose things: each builder makes one of a free body and returns half its height, which is how
high its middle stands above what it stands on."""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np

from fpt_ros.simulation.spot import BOX, CAPSULE, CYLINDER, SPHERE, Spot

ALONG_X = (0, np.pi / 2, 0)


def block(spot: Spot, body: mujoco.MjsBody) -> float:
    w, d, h = (spot.uniform(0.015, 0.06) for _ in range(3))
    spot.part(BOX, [w, d, h], (0, 0, 0), 0, body, "free")
    return h


def book(spot: Spot, body: mujoco.MjsBody) -> float:
    w, d, h = spot.uniform(0.05, 0.09), spot.uniform(0.04, 0.07), spot.uniform(0.006, 0.02)
    spot.part(BOX, [w, d, h], (0, 0, 0), 0, body, "free")
    spot.part(BOX, [0.97 * w, 0.03 * d, 0.8 * h], (0, -d, 0), 1, body, "free")
    return h


def can(spot: Spot, body: mujoco.MjsBody) -> float:
    r, h = spot.uniform(0.015, 0.05), spot.uniform(0.012, 0.08)
    spot.part(CYLINDER, [r, h], (0, 0, 0), 0, body, "free")
    return h


def mug(spot: Spot, body: mujoco.MjsBody) -> float:
    r, h = spot.uniform(0.025, 0.045), spot.uniform(0.03, 0.055)
    if spot.chance(0.5):
        spot.part(CYLINDER, [r, h], (0, 0, 0), 0, body, "free")
    else:
        hollow(spot, body, r, r, h)
    for z in (-0.5 * h, 0.5 * h):
        spot.part(BOX, [0.4 * r, 0.005, 0.005], (1.3 * r, 0, z), 1, body, "free")
    spot.part(BOX, [0.005, 0.005, 0.5 * h + 0.005], (1.7 * r, 0, 0), 1, body, "free")
    return h


def bowl(spot: Spot, body: mujoco.MjsBody) -> float:
    r, h = spot.uniform(0.04, 0.08), spot.uniform(0.015, 0.035)
    hollow(spot, body, spot.uniform(0.5, 0.9) * r, r, h)
    return h


def hollow(spot: Spot, body: mujoco.MjsBody, low: float, high: float, h: float) -> None:
    """A wall of slats, its radius `low` at the bottom and `high` at the top, and a bottom."""
    pieces, t = 12, 0.003
    spot.part(CYLINDER, [low, t], (0, 0, t - h), 1, body, "free")
    lean = np.arctan2(high - low, 2 * h)
    middle = 0.5 * (low + high)
    for angle in np.arange(pieces) * 2 * np.pi / pieces:
        at = (middle * np.cos(angle), middle * np.sin(angle), 0)
        size = [t, 1.04 * high * np.tan(np.pi / pieces), h / np.cos(lean) - 0.3 * t]
        quat = np.zeros(4)
        mujoco.mju_mulQuat(
            quat,
            np.array([np.cos(angle / 2), 0, 0, np.sin(angle / 2)]),
            np.array([np.cos(lean / 2), 0, np.sin(lean / 2), 0]),
        )
        spot.part(BOX, size, at, 0, body, "free", quat=quat)


def plate(spot: Spot, body: mujoco.MjsBody) -> float:
    r, h = spot.uniform(0.05, 0.085), spot.uniform(0.006, 0.01)
    spot.part(CYLINDER, [0.6 * r, h], (0, 0, 0), 0, body, "free")
    spot.part(CYLINDER, [r, 0.5 * h], (0, 0, 0.4 * h), 0, body, "free")
    return h


def pan(spot: Spot, body: mujoco.MjsBody) -> float:
    r, h = spot.uniform(0.04, 0.07), spot.uniform(0.01, 0.022)
    hollow(spot, body, 0.9 * r, r, h)
    long = spot.uniform(0.03, 0.06)
    spot.part(CAPSULE, [0.3 * h + 0.003, long], (r + long, 0, 0.5 * h), 2, body, "free", ALONG_X)
    return h


def bottle(spot: Spot, body: mujoco.MjsBody) -> float:
    r, h = spot.uniform(0.02, 0.035), spot.uniform(0.04, 0.07)
    neck = spot.uniform(0.015, 0.03)
    spot.part(CYLINDER, [r, h], (0, 0, 0), 0, body, "free")
    spot.part(CYLINDER, [0.45 * r, neck], (0, 0, h + neck), 0, body, "free")
    spot.part(CYLINDER, [0.55 * r, 0.008], (0, 0, h + 2 * neck + 0.008), 1, body, "free")
    return h


def tool(spot: Spot, body: mujoco.MjsBody) -> float:
    """A hammer, screwdriver, spoon, spatula or wrench that lies on the table."""
    length, thick = spot.uniform(0.05, 0.12), spot.uniform(0.006, 0.014)
    kind = spot.rng.choice(["hammer", "screwdriver", "spoon", "spatula", "wrench"])
    spot.part(CAPSULE, [thick, length], (0, 0, 0), 0, body, "free", ALONG_X)
    end = (length + thick, 0.0, 0.0)
    if kind == "hammer":
        head = spot.uniform(1.3, 2.0) * thick
        spot.part(BOX, [head, spot.uniform(0.02, 0.05), head], end, 1, body, "free")
        return head
    if kind == "screwdriver":
        thin = 0.35 * thick
        spot.part(CAPSULE, [thin, 0.6 * length], (1.6 * length, 0, 0), 1, body, "free", ALONG_X)
    elif kind == "spoon":
        spot.part(CYLINDER, [2.6 * thick, 0.6 * thick], (length + 2 * thick, 0, 0), 0, body, "free")
    elif kind == "spatula":
        size = [3.5 * thick, 2.6 * thick, 0.4 * thick]
        spot.part(BOX, size, (length + 3 * thick, 0, 0), 1, body, "free")
    else:
        for side in (-1, 1):
            at = (length + 1.5 * thick, 1.4 * side * thick, 0)
            spot.part(BOX, [2 * thick, 0.6 * thick, 0.8 * thick], at, 0, body, "free")
        spot.part(BOX, [0.6 * thick, 2 * thick, 0.8 * thick], end, 0, body, "free")
    return thick


def ball(spot: Spot, body: mujoco.MjsBody) -> float:
    r = spot.uniform(0.02, 0.045)
    spot.part(SPHERE, [r], (0, 0, 0), 0, body, "free")
    return r


Builder = Callable[[Spot, mujoco.MjsBody], float]
FLAT: dict[str, Builder] = {"block": block, "book": book, "can": can, "plate": plate}
"""Things on which others can stand."""
LOOSE: dict[str, Builder] = FLAT | {
    "mug": mug,
    "bowl": bowl,
    "pan": pan,
    "bottle": bottle,
    "tool": tool,
    "ball": ball,
}
