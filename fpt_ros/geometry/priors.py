# SPDX-License-Identifier: Apache-2.0
"""What is known of a motion before anything is seen: it is small, and its axis may be given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.geometry.motions import SMALLEST, Slide, skew

if TYPE_CHECKING:
    from jaxtyping import Float

    from fpt_ros.geometry.fitting import Prior
    from fpt_ros.geometry.motions import Motion

TILT = 0.1
"""Radians, one standard deviation of an axis from the candidate that it is taken from."""


def weak(motion: Motion) -> Prior:
    """Turns by about a radian, shifts and distances of axes by about 0.25 m."""
    slope = np.diag(1 / motion.scale)

    def prior(
        parameters: Float[np.ndarray, "h k"],
    ) -> tuple[Float[np.ndarray, "h m"], Float[np.ndarray, "h m k"]]:
        return parameters / motion.scale, np.broadcast_to(slope, (len(parameters), *slope.shape))

    return prior


def along(
    motion: Motion,
    directions: Float[np.ndarray, "h 3"],
    pivots: Float[np.ndarray, "h 3"] | None = None,
    slack: float = 1.0,
) -> Prior:
    """As `weak`, and each motion's axis lies along its direction; of hinges also near a point.

    Args:
        pivots: metres from the part's middle. slack: one standard deviation from them, metres.
    """
    usual = weak(motion)

    def prior(
        parameters: Float[np.ndarray, "h k"],
    ) -> tuple[Float[np.ndarray, "h m"], Float[np.ndarray, "h m k"]]:
        parts = [usual(parameters), _tilt(parameters, directions)]
        if pivots is not None and not isinstance(motion, Slide):
            parts.append(_distance(parameters, pivots, slack))
        residuals, slopes = zip(*parts, strict=True)
        return np.concatenate(residuals, axis=1), np.concatenate(slopes, axis=1)

    return prior


def axes_of(
    parameters: Float[np.ndarray, "h k"],
) -> tuple[Float[np.ndarray, "h 3"], Float[np.ndarray, "h 3 3"]]:
    """Unit axes (the first three parameters') and their Jacobian by those parameters."""
    length = np.maximum(np.linalg.norm(parameters[:, :3], axis=1), SMALLEST)[:, None]
    axis = parameters[:, :3] / length
    return axis, (np.eye(3) - axis[:, :, None] * axis[:, None]) / length[..., None]


def _tilt(
    parameters: Float[np.ndarray, "h k"], directions: Float[np.ndarray, "h 3"]
) -> tuple[Float[np.ndarray, "h 3"], Float[np.ndarray, "h 3 k"]]:
    axis, by_axis = axes_of(parameters)
    slope = np.zeros((*axis.shape, parameters.shape[1]))
    slope[..., :3] = skew(directions) @ by_axis / TILT
    return np.cross(directions, axis) / TILT, slope


def _distance(
    parameters: Float[np.ndarray, "h 6"], pivots: Float[np.ndarray, "h 3"], slack: float
) -> tuple[Float[np.ndarray, "h 3"], Float[np.ndarray, "h 3 6"]]:
    """From points to axes, across them: (I - a a') (q - p)."""
    axis, by_axis = axes_of(parameters)
    apart = pivots - parameters[:, 3:]
    across = np.eye(3) - axis[:, :, None] * axis[:, None]
    share = (axis * apart).sum(1)[:, None, None]
    by_direction = -share * np.eye(3) - axis[:, :, None] * apart[:, None]
    slope = np.concatenate([by_direction @ by_axis, -across], axis=-1)
    return (across @ apart[..., None])[..., 0] / slack, slope / slack
