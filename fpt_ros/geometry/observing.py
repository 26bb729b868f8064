# SPDX-License-Identifier: Apache-2.0
"""From the images before and after a push to the joint of what moved."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.geometry.joints import Joint, JointKind

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

    from fpt_ros.geometry.camera import Camera


@dataclasses.dataclass(frozen=True)
class Observation:
    """Points that were followed, how they moved, and the joints that this shows."""

    points: Float[np.ndarray, "n 2"]
    shifts: Float[np.ndarray, "n 2"]
    """Pixels."""
    moved: Bool[np.ndarray, " n"]
    """Which of them moved: those that the joint was fitted to."""
    joints: list[Joint]
    """Best first; empty where there is none."""
    reason: str
    """Why there is no joint; empty where there is one."""


def observe(
    camera: Camera,
    image_before: UInt8[np.ndarray, "h w 3"],
    image_after: UInt8[np.ndarray, "h w 3"],
    depth_before: Float[np.ndarray, "h w"],
    depth_after: Float[np.ndarray, "h w"] | None = None,
    pokes: Float[np.ndarray, "p 4"] | None = None,
    *,
    kind: JointKind = JointKind.UNKNOWN,
    up: Float[np.ndarray, " 3"] | None = None,
) -> Observation:
    """Follow points with the built-in tracker, find those that moved, and fit their joint.

    The camera stands still. Images are RGB; depth is in metres, NaN for holes, registered.

    Args:
        pokes: what was done [px]; points about them are followed first. None: the whole image.

    Raises:
        ValueError: images or depth of other sizes than the camera's.
    """
    raise NotImplementedError
