# SPDX-License-Identifier: Apache-2.0
"""How points of a part move in metres, by all hypotheses of its joint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.geometry.depth import depth_noise
from fpt_ros.geometry.motions import skew

if TYPE_CHECKING:
    from jaxtyping import Float

    from fpt_ros.geometry.joint import Joint


def displacements(
    joints: Sequence[Joint],
    points: Float[np.ndarray, "n 3"],
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3 3"]]:
    """Displacements [m] by the best joint, and their covariances [m^2] about it.

    They count what the fit left open, the noise of the points' own depth, and how far the other
    hypotheses, by their probability, would take the points. NaN for points that are not numbers.
    After an observation they are too narrow wherever the tracker erred (docs/joints.md).

    Raises:
        ValueError: no joints.
    """
    if not joints:
        raise ValueError("joints is empty: there must be a hypothesis")
    points = np.asarray(points, float).reshape(-1, 3)
    mean = joints[0].move(points)
    covariance = np.zeros((len(points), 3, 3))
    for joint in joints:
        apart = joint.move(points) - mean
        own = _left_open(joint, points) + _by_depth(joint, points)
        covariance += joint.probability * (own + apart[:, :, None] * apart[:, None])
    return mean, covariance


def _left_open(joint: Joint, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3 3"]:
    """By the spread of the joint's motion."""
    arms = (points - joint.centre) @ joint.rotation.T
    slope = np.concatenate([-skew(arms), np.broadcast_to(np.eye(3), (len(arms), 3, 3))], axis=-1)
    return slope @ joint.covariance @ slope.mT


def _by_depth(joint: Joint, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3 3"]:
    """A point that is farther away along its line of sight turns otherwise."""
    off = points / points[:, 2:] * depth_noise(points[:, 2:])
    moved = off @ (joint.rotation - np.eye(3)).T
    return moved[:, :, None] * moved[:, None]
