# SPDX-License-Identifier: Apache-2.0
"""Things that open: windows, double doors, cabinets, round lids, boxes with loose lids."""

from __future__ import annotations

import numpy as np

from fpt_ros.simulation.spot import BOX, CAPSULE, CYLINDER, JOINT, SPHERE, Spot, X, Z, case

HINGE, SLIDE = JOINT.mjJNT_HINGE, JOINT.mjJNT_SLIDE


def window(spot: Spot) -> None:
    """A frame with one pane that slides sideways or up before a fixed one or nothing."""
    w, h, bar = spot.uniform(0.08, 0.17), spot.uniform(0.07, 0.14), spot.uniform(0.006, 0.014)
    deep = spot.uniform(0.012, 0.03)
    spot.part(BOX, [w + 2 * bar, 2 * deep, 0.006], (0, 0, 0.006))
    for x in (-w - bar, w + bar):
        spot.part(BOX, [bar, deep, h + bar], (x, 0, h + bar))
    for z in (bar, 2 * h + bar):
        spot.part(BOX, [w, deep, bar], (0, 0, z))
    sideways = spot.chance(0.65)
    half = [0.5 * w, 0.004, h - bar] if sideways else [w, 0.004, 0.5 * h]
    if spot.chance(0.6):
        at = (0.5 * w, 0.006, h + bar) if sideways else (0, 0.006, 1.5 * h)
        spot.part(BOX, half, at, 0)
    if sideways:
        body = spot.moving(SLIDE, X, (0.0, 0.9 * w), (-0.5 * w, -0.006, h + bar))
    else:
        body = spot.moving(SLIDE, Z, (0.0, 0.9 * h), (0, -0.006, 0.5 * h + bar))
    spot.part(BOX, half, (0, 0, 0), 1, body, "mechanism")
    spot.handle(body, (0.6 * half[0] * (1 if sideways else 0), -0.004, 0), 0.4 * half[0])


def double_doors(spot: Spot) -> None:
    """A cupboard whose two doors open outwards."""
    w, d, h = spot.uniform(0.08, 0.16), spot.uniform(0.05, 0.12), spot.uniform(0.07, 0.15)
    case(spot, w, d, h, "front")
    for shelf in range(int(spot.rng.integers(0, 3))):
        spot.part(BOX, [w, d * 0.9, 0.004], (0, 0, h * (0.7 + 0.6 * shelf)))
    for side in (-1, 1):
        leaf(spot, side, w, d, h, (0, 0))


def leaf(spot: Spot, side: int, w: float, d: float, h: float, middle: tuple[float, float]) -> None:
    """One of two doors that close a front of half sizes w and h round `middle` (x, above 0)."""
    x, low = middle
    span = (-2.0, 0.0) if side < 0 else (0.0, 2.0)
    body = spot.moving(HINGE, Z, span, (x + side * w, -d - 0.007, low + h))
    spot.part(BOX, [0.49 * w, 0.005, h], (-side * 0.5 * w, 0, 0), 1, body, "mechanism")
    spot.handle(body, (-side * 0.85 * w, -0.005, spot.uniform(-0.3, 0.3) * h), 0.1 * w)


def cabinet(spot: Spot) -> None:
    """Cells side by side and above each other, each a drawer, a door, or open."""
    columns, rows = int(spot.rng.integers(1, 4)), int(spot.rng.integers(1, 4))
    w, h = spot.uniform(0.04, 0.08), spot.uniform(0.03, 0.06)
    d, t = spot.uniform(0.05, 0.11), 0.005
    wide, high = w * columns, h * rows
    case(spot, wide, d, high, "front", t)
    for column in range(1, columns):
        spot.part(BOX, [t, d, high], (2 * w * column - wide, 0, high))
    for row in range(1, rows):
        spot.part(BOX, [wide, d, t], (0, 0, 2 * h * row))
    for column in range(columns):
        for row in range(rows):
            kinds = ["drawer", "door", "flap"] + ["open"] * (column + row > 0)
            chances = np.array([0.45, 0.4, 0.15, 0.15][: len(kinds)])
            kind = str(spot.rng.choice(kinds, p=chances / chances.sum()))
            cell(spot, kind, (2 * column + 1) * w - wide, (2 * row + 1) * h, w, d, h)


def cell(spot: Spot, kind: str, x: float, z: float, w: float, d: float, h: float) -> None:
    """What closes a cell of half sizes w, d and h with its middle at x, z."""
    iw, ih = w - 0.006, h - 0.006
    if kind == "drawer":
        body = spot.moving(SLIDE, (0, -1, 0), (0, 1.4 * d), (x, 0, z))
        spot.part(BOX, [iw, 0.005, ih], (0, -d - 0.001, 0), 1, body, "mechanism")
        spot.part(BOX, [0.94 * iw, 0.92 * d, 0.003], (0, 0, -0.8 * ih), 1, body, "mechanism")
        for side in (-0.94 * iw, 0.94 * iw):
            spot.part(BOX, [0.003, 0.92 * d, 0.7 * ih], (side, 0, -0.1 * ih), 1, body, "mechanism")
        spot.handle(body, (0, -d - 0.006, 0), 0.6 * iw)
    elif kind == "door":
        side = -1 if spot.chance(0.5) else 1
        span = (-2.0, 0.0) if side < 0 else (0.0, 2.0)
        body = spot.moving(HINGE, Z, span, (x + side * iw, -d - 0.006, z))
        spot.part(BOX, [iw, 0.005, ih], (-side * iw, 0, 0), 1, body, "mechanism")
        spot.handle(body, (-side * 1.7 * iw, -0.005, 0), 0.15 * iw)
    elif kind == "flap":
        body = spot.moving(HINGE, X, (0.0, 1.6), (x, -d - 0.006, z - ih))
        spot.part(BOX, [iw, 0.005, ih], (0, 0, ih), 1, body, "mechanism")
        spot.handle(body, (0, -0.005, 1.7 * ih), 0.4 * iw)


def round_lid(spot: Spot) -> None:
    """A pot or bin, round or many-sided, with a hinged lid and sometimes handles."""
    r, h = spot.uniform(0.05, 0.11), spot.uniform(0.03, 0.09)
    ring(spot, r, h)
    spot.part(CYLINDER, [r, 0.004], (0, 0, 0.004))
    body = spot.moving(HINGE, (-1, 0, 0), (-1.9, 0.0), (0, r, 2 * h + 0.006))
    spot.part(CYLINDER, [1.04 * r, 0.006], (0, -r, 0), 1, body, "mechanism")
    if spot.chance(0.7):
        knob = spot.uniform(0.008, 0.02)
        back = -r * spot.uniform(1.0, 1.7)
        spot.part(SPHERE, [knob], (0, back, knob + 0.004), 2, body, "mechanism")
    if spot.chance(0.4):
        for side in (-1, 1):
            spot.part(BOX, [0.015, 0.02, 0.006], (side * (r + 0.012), 0, 1.5 * h), 2)


def ring(spot: Spot, r: float, h: float, pieces: int = 14) -> None:
    """An upright wall round the middle."""
    for angle in np.arange(pieces) * 2 * np.pi / pieces:
        at = (r * np.cos(angle), r * np.sin(angle), h)
        size = [0.005, 1.06 * r * np.tan(np.pi / pieces), h]
        spot.part(BOX, size, at, 0, euler=(0, 0, angle))


def box_with_loose_lid(spot: Spot) -> None:
    """An open box or pot, and its lid: on it, askew on it, or beside it."""
    w, d, h = spot.uniform(0.05, 0.12), spot.uniform(0.05, 0.1), spot.uniform(0.025, 0.07)
    round_one = spot.chance(0.35)
    if round_one:
        d = w
        ring(spot, w, h)
        spot.part(CYLINDER, [w, 0.004], (0, 0, 0.004))
    else:
        case(spot, w, d, h, "top")
    t = spot.uniform(0.004, 0.01)
    askew = spot.chance(0.35)
    x, y = (spot.uniform(-0.5, 0.5) * w, spot.uniform(-0.5, 0.5) * d) if askew else (0.0, 0.0)
    z = 2 * h + t
    if spot.chance(0.35):
        x, y, z = (1 if spot.chance(0.5) else -1) * (2 * w + 0.03), 0.0, t
    lid = spot.loose((x, y, z + 0.001 if round_one or z < h else z + 0.0065))
    if round_one:
        spot.part(CYLINDER, [1.05 * w, t], (0, 0, 0), 1, lid, "free")
    else:
        spot.part(BOX, [w + 0.01, d + 0.01, t], (0, 0, 0), 1, lid, "free")
    kind, rise = spot.rng.choice(["knob", "bow", "block"]), spot.uniform(0.01, 0.03)
    if kind == "knob":
        spot.part(SPHERE, [0.6 * rise], (0, 0, t + 0.5 * rise), 2, lid, "free")
    elif kind == "block":
        spot.part(BOX, [0.35 * w, 0.012, 0.5 * rise], (0, 0, t + 0.5 * rise), 2, lid, "free")
    else:
        span = 0.4 * w
        spot.part(CAPSULE, [0.006, span], (0, 0, t + rise), 2, lid, "free", (0, np.pi / 2, 0))
        for side in (-span, span):
            spot.part(CAPSULE, [0.006, 0.5 * rise], (side, 0, t + 0.5 * rise), 2, lid, "free")
