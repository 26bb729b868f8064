# SPDX-License-Identifier: Apache-2.0
"""Furniture and simple mechanisms: drawers, doors, lids, levers, buttons, sliders, chains."""

from __future__ import annotations

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
    case,
)


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
