# SPDX-License-Identifier: Apache-2.0
"""All mechanisms of the procedural tables that training may show."""

from __future__ import annotations

from collections.abc import Callable

from fpt_ros.simulation import openings, things, turning
from fpt_ros.simulation.arms import arm
from fpt_ros.simulation.spot import Spot

Builder = Callable[[Spot], None]
MECHANISMS: dict[str, tuple[Builder, float]] = {
    "drawers": (things.drawers, 0.22),
    "door": (things.door, 0.24),
    "lid": (things.lid, 0.19),
    "lever": (things.lever, 0.14),
    "button": (things.button, 0.12),
    "slider": (things.slider, 0.20),
    "chain": (things.chain, 0.26),
    "arm": (arm, 0.20),
    "knobs": (turning.knobs, 0.13),
    "dial": (turning.dial, 0.11),
    "faucet": (turning.faucet, 0.11),
    "wheel": (turning.wheel, 0.13),
    "switches": (turning.switches, 0.12),
    "tray": (turning.tray, 0.17),
    "wall_lever": (turning.wall_lever, 0.15),
    "window": (openings.window, 0.20),
    "double_doors": (openings.double_doors, 0.24),
    "cabinet": (openings.cabinet, 0.26),
    "round_lid": (openings.round_lid, 0.15),
    "box_with_loose_lid": (openings.box_with_loose_lid, 0.22),
}
"""Each with the radius in metres of the room it needs on the table."""
