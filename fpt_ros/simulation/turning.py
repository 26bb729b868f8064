# SPDX-License-Identifier: Apache-2.0
"""Things that turn about an axis: knobs, dials, taps, wheels, switches, trays, wall levers."""

from __future__ import annotations

import mujoco
import numpy as np

from fpt_ros.simulation.spot import (
    BOX,
    CAPSULE,
    CYLINDER,
    JOINT,
    SPHERE,
    Spot,
    X,
    Y,
    Z,
)

HINGE = JOINT.mjJNT_HINGE
FORWARD = (np.pi / 2, 0, 0)
"""Turns a cylinder's axis from z to y."""


def knobs(spot: Spot) -> None:
    """A box or a standing panel with one to four knobs, on its top or on its front."""
    count, r = int(spot.rng.integers(1, 5)), spot.uniform(0.018, 0.045)
    gap, on_top = 2.4 * r, spot.chance(0.35)
    w, h = 0.5 * gap * count + 0.01, spot.uniform(0.02, 0.04)
    d = 1.4 * r if on_top else spot.uniform(0.01, 0.06)
    lift = h if on_top else max(h, 1.3 * r)
    spot.part(BOX, [w, d, lift], (0, 0, lift))
    for number in range(count):
        x = gap * (number - 0.5 * (count - 1))
        at = (x, 0, 2 * lift) if on_top else (x, -d, lift)
        axis = Z if on_top else Y
        knob(spot, axis, at, r, spot.uniform(0.008, 0.025))


def knob(
    spot: Spot, axis: tuple[float, float, float], at: tuple[float, ...], r: float, deep: float
) -> None:
    """A disc or a bar that turns, with something on it by which one sees that it does."""
    body = spot.moving(HINGE, axis, (-2.4, 2.4), at)
    up = axis == Z
    out = (0, 0, deep) if up else (0, -deep, 0)
    kind = spot.rng.choice(["disc", "bar", "cross"], p=[0.6, 0.25, 0.15])
    if kind == "disc":
        spot.part(CYLINDER, [r, deep], out, 1, body, "mechanism", (0, 0, 0) if up else FORWARD)
        thin = 0.16 * r
        mark = (0.45 * r, 0, 2 * deep) if up else (0.45 * r, -2 * deep, 0)
        spot.part(BOX, [0.45 * r, thin, thin], mark, 2, body, "mechanism")
        return
    for turn in (0.0, np.pi / 2) if kind == "cross" else (0.0,):
        euler = (0, 0, turn) if up else (0, turn, 0)
        size = [r, 0.3 * r, deep] if up else [r, deep, 0.3 * r]
        spot.part(BOX, size, out, 1, body, "mechanism", euler)


def dial(spot: Spot) -> None:
    """A large disc, upright on a stand or lying, with a bar on it or a peg away from its middle."""
    r, thick = spot.uniform(0.04, 0.09), spot.uniform(0.006, 0.025)
    flat = spot.chance(0.45)
    if flat:
        z, out, axis, euler = spot.uniform(0.004, 0.03), np.array([0, 0, 1.0]), Z, (0.0, 0.0, 0.0)
        spot.part(CYLINDER, [spot.uniform(0.7, 1.2) * r, 0.5 * z], (0, 0, 0.5 * z))
    else:
        z, out, axis, euler = spot.uniform(r, r + 0.09), np.array([0, -1.0, 0]), Y, FORWARD
        spot.part(BOX, [0.4 * r, 0.015, 0.5 * z], (0, 0.018, 0.5 * z))
        spot.part(BOX, [0.8 * r, 0.04, 0.006], (0, 0.018, 0.006))
    body = spot.moving(HINGE, axis, (-2.6, 2.6), (0, 0, z))
    spot.part(CYLINDER, [r, thick], tuple(thick * out), 1, body, "mechanism", euler)
    peg = spot.uniform(0.008, 0.02)
    if spot.chance(0.5):
        at = (2 * thick + peg) * out + [0.7 * r, 0, 0]
        spot.part(CYLINDER, [0.6 * peg, peg], tuple(at), 2, body, "mechanism", euler)
    if spot.chance(0.7):
        wide, high = spot.uniform(0.08, 0.2) * r, spot.uniform(0.003, 0.02)
        size = [spot.uniform(0.5, 0.95) * r, wide, high] if flat else [0.9 * r, high, wide]
        spot.part(BOX, size, tuple((2 * thick + high) * out), 2, body, "mechanism")


def faucet(spot: Spot) -> None:
    """A pillar with a spout, and a handle on top or at its side that turns about the pillar."""
    r, h = spot.uniform(0.014, 0.032), spot.uniform(0.04, 0.11)
    shape = CYLINDER if spot.chance(0.7) else BOX
    spot.part(shape, [r, h] if shape == CYLINDER else [r, r, h], (0, 0, h))
    if spot.chance(0.6):
        spot.part(CYLINDER, [1.8 * r, 0.006], (0, 0, 0.006))
    if spot.chance(0.6):
        reach, z = spot.uniform(0.04, 0.09), spot.uniform(1.0, 1.7) * h
        spot.part(BOX, [0.5 * r, 0.5 * reach, 0.5 * r], (0, -0.5 * reach, z))
        spot.part(CYLINDER, [0.5 * r, 0.4 * r], (0, -reach, z - 0.5 * r))
    upright = spot.chance(0.7)
    axis = Z if upright else (X if spot.chance(0.5) else Y)
    body = spot.moving(HINGE, axis, (-1.6, 1.6) if upright else (-1.0, 1.0), (0, 0, 2 * h))
    spot.part(CYLINDER, [1.15 * r, 0.012], (0, 0, 0.012), 1, body, "mechanism")
    long, thick = spot.uniform(0.03, 0.12), spot.uniform(0.005, 0.017)
    ends = [(1, 0)] if spot.chance(0.5) else [(1, 0), (-1, 0)]
    ends = [(1, 0), (-1, 0), (0, 1), (0, -1)] if spot.chance(0.2) else ends
    rise = spot.uniform(0, 0.02)
    for x, y in ends:
        turn = (0, np.pi / 2, 0) if x else FORWARD
        at = (0.5 * x * long, 0.5 * y * long, 0.014 + rise)
        spot.part(CAPSULE, [thick, 0.5 * long], at, 2, body, "mechanism", turn)
    if rise > 0.01:
        spot.part(CYLINDER, [0.6 * r, 0.5 * rise], (0, 0, 0.02 + 0.5 * rise), 1, body, "mechanism")


def wheel(spot: Spot) -> None:
    """A hand wheel or a crank, before a stand or lying on top of it."""
    r, thick = spot.uniform(0.04, 0.09), spot.uniform(0.005, 0.011)
    flat = spot.chance(0.4)
    h = spot.uniform(0.02, 0.06) if flat else spot.uniform(r + 0.01, r + 0.05)
    stand = [spot.uniform(0.015, 0.05), spot.uniform(0.015, 0.05), 0.5 * h]
    spot.part(BOX, stand, (0, 0.0 if flat else 0.05, 0.5 * h))
    if not flat:
        spot.part(BOX, [0.012, 0.05, 0.012], (0, 0.012, h - 0.012))
    body = spot.moving(
        HINGE, Z if flat else Y, (-3.0, 3.0), (0, 0, h + 0.012) if flat else (0, -0.05, h)
    )
    axle = (0, 0, 0) if flat else FORWARD
    spot.part(CYLINDER, [0.2 * r, 0.012], (0, 0, 0), 1, body, "mechanism", axle)
    crank = spot.chance(0.4)
    spokes = 1 if crank else int(spot.rng.integers(3, 6))
    for angle in np.arange(spokes) * 2 * np.pi / spokes:
        rod(spot, body, flat, 0.5 * r, angle, angle, thick, 0.5 * r, 1)
    if crank:
        peg = spot.uniform(0.015, 0.035)
        end = (r, 0, peg) if flat else (r, -peg, 0)
        spot.part(CYLINDER, [1.5 * thick, peg], end, 2, body, "mechanism", axle)
        return
    pieces = 12
    for angle in np.arange(pieces) * 2 * np.pi / pieces:
        half = 1.05 * r * np.tan(np.pi / pieces)
        rod(spot, body, flat, r, angle, angle + np.pi / 2, thick, half, 2)


def rod(
    spot: Spot, body: mujoco.MjsBody, flat: bool, r: float, angle: float, along: float,
    thick: float, half: float, colour: int,
) -> None:  # fmt: skip
    """A capsule in a wheel's plane: its middle at r and `angle`, its axis in direction `along`."""
    x, y = r * np.cos(angle), r * np.sin(angle)
    euler = (np.pi / 2, along + np.pi / 2, 0) if flat else (0, np.pi / 2 - along, 0)
    middle = (x, y, 0) if flat else (x, 0, y)
    spot.part(CAPSULE, [thick, half], middle, colour, body, "mechanism", euler)


def switches(spot: Spot) -> None:
    """A panel, upright or lying, with one to four toggle switches."""
    count, upright = int(spot.rng.integers(1, 5)), spot.chance(0.5)
    gap, t = spot.uniform(0.035, 0.06), spot.uniform(0.006, 0.012)
    w, h = 0.5 * gap * count + 0.01, spot.uniform(0.03, 0.06)
    if upright:
        spot.part(BOX, [w, 0.012, h], (0, 0.012, h))
    else:
        spot.part(BOX, [w, h, 0.012], (0, 0, 0.012))
    long = spot.uniform(0.012, 0.03)
    for number in range(count):
        x = gap * (number - 0.5 * (count - 1))
        at = (x, 0, h) if upright else (x, 0, 0.024)
        body = spot.moving(HINGE, X, (-0.7, 0.7), at)
        middle = (0, -long, 0) if upright else (0, 0, long)
        euler = FORWARD if upright else (0, 0, 0)
        if spot.chance(0.6):
            spot.part(CAPSULE, [0.6 * t, long], middle, 1, body, "mechanism", euler)
        else:
            size = [1.2 * t, long, 0.5 * t] if upright else [1.2 * t, 0.5 * t, long]
            spot.part(BOX, size, middle, 1 + number, body, "mechanism")


def tray(spot: Spot) -> None:
    """A rotary tray with things fixed on it."""
    r, h = spot.uniform(0.07, 0.15), spot.uniform(0.008, 0.03)
    spot.part(CYLINDER, [0.4 * r, h], (0, 0, h))
    body = spot.moving(HINGE, Z, (-3.0, 3.0), (0, 0, 2 * h))
    shape = CYLINDER if spot.chance(0.75) else BOX
    spot.part(
        shape,
        [r, 0.006] if shape == CYLINDER else [0.8 * r, 0.8 * r, 0.006],
        (0, 0, 0.006),
        1,
        body,
        "mechanism",
    )
    count, start = int(spot.rng.integers(1, 5)), spot.uniform(0, 2 * np.pi)
    for number in range(count):
        angle = start + 2 * np.pi * number / count
        x, y = spot.uniform(0.3, 0.65) * r * np.array([np.cos(angle), np.sin(angle)])
        size, high = spot.uniform(0.08, 0.22) * r, spot.uniform(0.01, 0.05)
        if spot.chance(0.5):
            spot.part(CYLINDER, [size, high], (x, y, 0.012 + high), number, body, "mechanism")
        else:
            spot.part(
                BOX,
                [size, size, high],
                (x, y, 0.012 + high),
                number,
                body,
                "mechanism",
                (0, 0, angle),
            )


def wall_lever(spot: Spot) -> None:
    """A lever at the side of a post, or in the slot of a plate, turning about a level axis."""
    h, long, thick = spot.uniform(0.06, 0.13), spot.uniform(0.06, 0.14), spot.uniform(0.006, 0.013)
    if spot.chance(0.5):
        w = spot.uniform(0.02, 0.06)
        spot.part(BOX, [w, spot.uniform(0.02, 0.05), h], (0, 0, h))
        side = -1 if spot.chance(0.5) else 1
        at = (side * (w + thick + 0.002), 0.0, spot.uniform(1.2, 1.9) * h)
    else:
        gap = 1.6 * thick
        w = spot.uniform(0.02, 0.05)
        for x in (-gap - w, gap + w):
            spot.part(BOX, [w, 0.01, h], (x, 0, h))
        at = (0.0, 0.008, h)
    body = spot.moving(HINGE, X, (-1.3, 1.3), at)
    spot.part(CAPSULE, [thick, 0.5 * long], (0, -0.5 * long, 0), 1, body, "mechanism", FORWARD)
    spot.part(
        CYLINDER, [1.8 * thick, 1.2 * thick], (0, 0, 0), 1, body, "mechanism", (0, np.pi / 2, 0)
    )
    end = (0, -long, 0)
    kind = spot.rng.choice(["ball", "bar", "none"], p=[0.4, 0.35, 0.25])
    if kind == "ball":
        spot.part(SPHERE, [spot.uniform(1.4, 2.5) * thick], end, 2, body, "mechanism")
    elif kind == "bar":
        spot.part(CAPSULE, [thick, 0.03], end, 2, body, "mechanism", (0, np.pi / 2, 0))
