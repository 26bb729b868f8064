# SPDX-License-Identifier: Apache-2.0
"""What the places where the finger has been say of joints: which of them fits, and how exactly."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import least_squares

from fpt_ros.geometry import Joint, JointKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float

SPREAD = 0.001
"""Metres, of the finger's places."""
TILT, SHIFT = np.radians(10), 0.03
"""Radians and metres that a joint's axis is expected to be off."""
CONTRADICTS = 0.15
"""A joint is not followed if the finger has been this share of its way beside the joint's."""


def most_fitting(joints: Sequence[Joint], places: Float[np.ndarray, "n 3"]) -> Joint | None:
    """The joint that explains best where the held point has been, its axis mended by that.

    None where none of them goes that way.
    """
    way = float(np.linalg.norm(np.diff(places, axis=0), axis=1).sum())
    best, least = None, np.inf
    for joint in joints:
        mended, cost = mend(joint, places)
        off = float(np.sqrt((beside(mended, places) ** 2).sum() / len(places)))
        if cost < least and off <= CONTRADICTS * way and travelled(mended, places) > 0:
            best, least = mended, cost
    return best


def mend(joint: Joint, places: Float[np.ndarray, "n 3"]) -> tuple[Joint, float]:
    """The joint whose axis is moved as little as explains the places, and what that costs."""
    aside = np.linalg.svd(joint.axis[None])[2][1:]

    def moved(change: Float[np.ndarray, " 4"]) -> Joint:
        axis = joint.axis + TILT * change[:2] @ aside
        origin = joint.origin + SHIFT * change[2:] @ aside
        return dataclasses.replace(joint, axis=axis / np.linalg.norm(axis), origin=origin)

    def residuals(change: Float[np.ndarray, " 4"]) -> Float[np.ndarray, " m"]:
        return np.concatenate([beside(moved(change), places) / SPREAD, change])

    found = least_squares(residuals, np.zeros(4), max_nfev=60)
    return moved(found.x), float(found.cost)


def beside(joint: Joint, places: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " m"]:
    """How far places lie beside one way that the joint allows [m], in two or three directions."""
    apart = places - joint.origin
    along = apart @ joint.axis
    across = apart - along[:, None] * joint.axis
    if joint.kind == JointKind.PRISMATIC:
        return (across - across.mean(0)).ravel()
    radius = np.linalg.norm(across, axis=1)
    return np.concatenate([radius - radius.mean(), along - along.mean()])


def travelled(joint: Joint, places: Float[np.ndarray, "n 3"]) -> float:
    """From the first to the last of the places, metres or radians."""
    if joint.kind == JointKind.PRISMATIC:
        return float((places[-1] - places[0]) @ joint.axis)
    first, last = places[0] - joint.origin, places[-1] - joint.origin
    sine = np.cross(first, last) @ joint.axis
    cosine = first @ last - (first @ joint.axis) * (last @ joint.axis)
    return float(np.arctan2(sine, cosine))


def arm_of(joint: Joint, place: Float[np.ndarray, " 3"]) -> float:
    """Metres that the place goes for a travel of one."""
    if joint.kind == JointKind.PRISMATIC:
        return 1.0
    return float(np.linalg.norm(np.cross(joint.axis, place - joint.origin)))
