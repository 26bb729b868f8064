# SPDX-License-Identifier: Apache-2.0
"""The mechanisms of the held-out scene type: never in training."""

from __future__ import annotations

import numpy as np

from fpt_ros.simulation.mechanisms import Builder
from fpt_ros.simulation.spot import BOX, CYLINDER, JOINT, Spot, X, case


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
"""Each with the radius in metres of the room it needs on the table."""
