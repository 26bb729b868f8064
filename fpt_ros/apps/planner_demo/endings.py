# SPDX-License-Identifier: Apache-2.0
"""How a push ended, and if it failed, by what: seen in the simulation, not by the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

    from fpt_ros.simulation.push_tasks import PushTask
    from fpt_ros.simulation.push_world import Outcome

REACHED = "reached"
DISTURBED = "reached, but something else moved"
FIXED = "poked what is fixed"
OTHER_PART = "poked a part that does not move the wanted one"
HELD = "the poked place did not follow (a joint's limit, friction, the finger's force)"
TIPPED = "the thing tipped"
OTHERWISE = "the right part was drawn as planned, but moved the point elsewhere"
TIPPING = np.deg2rad(15)


def ending(
    task: PushTask,
    poke: Float[np.ndarray, " 4"],
    outcome: Outcome,
    reached: bool,
    stayed: bool,
) -> str:
    """The first of the ways above that holds, from top to bottom."""
    if reached:
        return REACHED if stayed else DISTURBED
    groups, place = task.world.groups, np.round(poke[:2]).astype(int)
    [moved, drawn] = outcome.displacement(np.stack([task.point, place]))
    x, y = task.point.astype(int)
    poked = int(groups[place[1], place[0]])
    if poked == 0:
        return FIXED
    if poked != groups[y, x] and np.linalg.norm(moved) <= task.still:
        return OTHER_PART
    if np.linalg.norm(drawn - poke[2:]) > task.tolerance:
        return HELD
    return TIPPED if tilt(outcome, poked) > TIPPING else OTHERWISE


def tilt(outcome: Outcome, body: int) -> float:
    """By how much a loose body's upright axis has turned, radians; 0 for parts of mechanisms."""
    if outcome.world.model.body_dofnum[body] != 6:  # only a free joint has six
        return 0.0
    start, end = outcome.start.rotations[body], outcome.end.rotations[body]
    upright = (end @ start.T)[2, 2]
    return float(np.arccos(np.clip(upright, -1, 1)))
