# SPDX-License-Identifier: Apache-2.0
"""Points of a moment: which of them move, and how densely they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from fpt_ros.inference.moving import MOVING

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Int32

CELLS = 12
"""Tracks stand closer in some places than in others; points weigh one over the number of points in
their cell of so many by so many, so that a weighted mean is one over the picture."""


def moves(
    points: Float32[np.ndarray, "n 2"],
    flow: Float32[np.ndarray, "n 2"],
    bodies: Int32[np.ndarray, "n"] | None,
) -> Bool[np.ndarray, "n"]:
    """Whether each point moves, apart from what the camera's motion does to the whole picture.

    The camera's part is the homography that most points follow, or those of the world where bodies
    are known; so a thing that stands out may count as moving when the camera travels.
    """
    if not (np.linalg.norm(flow, axis=-1) > MOVING).any():
        return np.zeros(len(points), bool)
    world = np.ones(len(points), bool) if bodies is None else bodies == 0
    found = np.linalg.norm(flow - _common(points, flow, world), axis=-1) > MOVING
    return found if bodies is None else found & ~world


def _common(
    points: Float32[np.ndarray, "n 2"],
    flow: Float32[np.ndarray, "n 2"],
    among: Bool[np.ndarray, "n"],
) -> Float32[np.ndarray, "n 2"]:
    """The flow at each point of the homography that most of the points `among` follow."""
    ends = points[among] + flow[among]
    if among.sum() < 4 or not flow[among].any():
        return np.zeros_like(flow)
    found, _ = cv2.findHomography(points[among], ends, cv2.RANSAC, MOVING)
    if found is None:
        return np.zeros_like(flow)
    return cv2.perspectiveTransform(points[None], found)[0] - points


def evening_weights(points: Float32[np.ndarray, "n 2"]) -> Float32[np.ndarray, "n"]:
    """One over the number of points in each point's cell."""
    column, row = np.clip(points * CELLS, 0, CELLS - 1).astype(int).T
    cell = row * CELLS + column
    return (1 / np.bincount(cell)[cell]).astype(np.float32)
