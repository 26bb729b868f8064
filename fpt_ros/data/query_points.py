# SPDX-License-Identifier: Apache-2.0
"""Which points of a clip are tracked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

CORNERS = 0.5
"""Share of the points at corners, the rest anywhere: texture is tracked best, but a network must
also learn what plain surfaces do."""
CORNER_FRAMES = 8
"""Corners are looked for in so many frames."""


def draw_queries(
    frames: UInt8[np.ndarray, "t s s 3"], count: int, rng: np.random.Generator
) -> Float[np.ndarray, "n 3"]:
    """Points in any of the frames: frame number, x, y in [0, 1]."""
    corners = _corners(frames, round(CORNERS * count), rng)
    anywhere = rng.random((count - len(corners), 3))
    anywhere[:, 0] = rng.integers(0, len(frames), len(anywhere))
    return np.concatenate([corners, anywhere])


def _corners(
    frames: UInt8[np.ndarray, "t s s 3"], count: int, rng: np.random.Generator
) -> Float[np.ndarray, "n 3"]:
    """At most `count` corners, in frames spread over the clip."""
    size = frames.shape[1]
    chosen = np.unique(np.linspace(0, len(frames) - 1, CORNER_FRAMES).astype(int))
    found = [np.zeros((0, 3))]
    for number in chosen:
        grey = cv2.cvtColor(frames[number], cv2.COLOR_RGB2GRAY)
        most = count * 2 // len(chosen) + 1
        corners = cv2.goodFeaturesToTrack(grey, most, 0.005, max(3.0, size / 40))
        if corners is not None:
            points = (corners.reshape(-1, 2) + 0.5) / size
            found.append(np.column_stack([np.full(len(points), float(number)), points]))
    every = np.concatenate(found)
    return every[rng.permutation(len(every))[:count]]
