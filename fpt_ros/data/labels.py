# SPDX-License-Identifier: Apache-2.0
"""The labels that training takes from tracks: where a point is frames later, and what is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from fpt_ros.data.trackers import Tracks

NEAR = 2.0
"""Pixels within which a point counts as followed."""
MOVING = 2.0
"""Pixels from where it was beyond which a point counts as moved."""
LABEL_SKIP = 25
"""Frames from a label's picture to its target."""


def labelled(tracked: Tracks, start: int) -> Int[np.ndarray, " l"]:
    """The points that have a label in frame `start`: those seen there and in the target."""
    tracks, visible = tracked
    inside = ((tracks[start] > 0) & (tracks[start] < 1)).all(-1)
    return np.flatnonzero(visible[start] & visible[start + LABEL_SKIP] & inside)


def judged(
    flow: Float[np.ndarray, "l 2"],
    true_flow: Float[np.ndarray, "l 2"],
    kept: Bool[np.ndarray, " l"],
) -> Bool[np.ndarray, "l 4"]:
    """For each label [px] whether it says that its point moves, whether it is right, whether in
    truth the point that is seen there stays, and whether it is kept."""
    columns = [
        np.linalg.norm(flow, axis=-1) > MOVING,
        np.linalg.norm(flow - true_flow, axis=-1) <= NEAR,
        np.linalg.norm(true_flow, axis=-1) <= MOVING,
        kept,
    ]
    return np.stack(columns, axis=1)


def label_figures(labels: Bool[np.ndarray, "l 4"]) -> dict[str, float]:
    """Shares of the labels that say that something moves: how many are right (precision), and how
    many stay in truth, before and after those that are not believed went; and how many of the right
    ones are kept (recall). The last two also of the labels that say that something stays."""
    moves, right, stays, kept = labels.T

    def share(of: np.ndarray, among: np.ndarray) -> float:
        return float(of[among].mean()) if among.any() else np.nan

    return {
        "labels that move: right": share(right, moves),
        "labels that move: stay in truth": share(stays, moves),
        "labels that move, believed: right": share(right, moves & kept),
        "labels that move, believed: stay in truth": share(stays, moves & kept),
        "labels that move, right: believed": share(kept, moves & right),
        "labels that stay, believed: right": share(right, ~moves & kept),
        "labels that stay, right: believed": share(kept, ~moves & right),
        "labels, all: believed": share(kept, np.ones_like(kept)),
    }
