# SPDX-License-Identifier: Apache-2.0
"""From the images before and after a push to the joint of what moved."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fpt_ros.data.lucas_kanade import track_points
from fpt_ros.geometry.joint import Joint, JointKind, NoJoint
from fpt_ros.geometry.seeing import observe_joints

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

    from fpt_ros.geometry.camera import Camera

COARSE_POINTS, FINE_POINTS = 900, 500
"""Followed over the whole image, and where something moved."""
STIRRED = 1.0
"""Pixels: points that went further have moved."""
MARGIN, ABOUT = 20.0, 20.0
"""Pixels round what moved, and round pokes."""


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
        pokes: what was done [px]; more points are followed about them.

    Raises:
        ValueError: images or depth of other sizes than the camera's.
    """
    _check_sizes(camera, image_before, image_after, depth_before, depth_after)
    some = _lattice(camera, None, COARSE_POINTS)
    if pokes is not None:
        some = np.concatenate([some, *(_about(camera, poke) for poke in pokes[:, :2])])
    shifts, good = follow(image_before, image_after, some)
    moved = good & (np.linalg.norm(shifts, axis=1) > STIRRED)
    if moved.any():
        more = _lattice(camera, some[moved], FINE_POINTS)
        found, seen = follow(image_before, image_after, more)
        some, shifts = np.concatenate([some, more]), np.concatenate([shifts, found])
        good = np.concatenate([good, seen])
    points, shifts = some[good], shifts[good]
    moved = np.linalg.norm(shifts, axis=1) > STIRRED
    before, after = points[moved], points[moved] + shifts[moved]
    try:
        joints = observe_joints(camera, before, after, depth_before, depth_after, kind=kind, up=up)
    except NoJoint as no:
        return Observation(points, shifts, moved, [], str(no))
    return Observation(points, shifts, moved, joints, "")


def follow(
    before: UInt8[np.ndarray, "h w 3"],
    after: UInt8[np.ndarray, "h w 3"],
    points: Float[np.ndarray, "n 2"],
) -> tuple[Float[np.ndarray, "n 2"], Bool[np.ndarray, " n"]]:
    """How points move from one image to another [px], and which were not lost."""
    height, width = before.shape[:2]
    side = max(height, width)
    padding = (0, side - height, 0, side - width, cv2.BORDER_REPLICATE)
    frames = np.stack([cv2.copyMakeBorder(image, *padding) for image in (before, after)])
    queries = np.column_stack([np.zeros(len(points)), (points + 0.5) / side])
    tracks, visible = track_points(frames, queries)
    ends = tracks[1].astype(float) * side - 0.5
    inside = ((ends > -0.5) & (ends < (width - 0.5, height - 0.5))).all(1)
    return ends - points, visible[1] & inside


def _lattice(
    camera: Camera, within: Float[np.ndarray, "n 2"] | None, count: int
) -> Float[np.ndarray, "m 2"]:
    """About so many pixels, evenly: of the whole image, or of the box round some points."""
    low, high = np.zeros(2), np.array([camera.width, camera.height]) - 1.0
    if within is not None:
        low = np.maximum(within.min(0) - MARGIN, low)
        high = np.minimum(within.max(0) + MARGIN, high)
    step = max(float(np.sqrt(np.prod(high - low) / count)), 1.0)
    x, y = np.meshgrid(*(np.arange(a + step / 2, b, step) for a, b in zip(low, high, strict=True)))
    return np.round(np.column_stack([x.ravel(), y.ravel()]))


def _about(camera: Camera, place: Float[np.ndarray, " 2"]) -> Float[np.ndarray, "m 2"]:
    """Pixels about a poke."""
    x, y = np.meshgrid(*[np.linspace(-ABOUT, ABOUT, 9)] * 2)
    points = np.round(place + np.column_stack([x.ravel(), y.ravel()]))
    return points[((points >= 0) & (points < (camera.width, camera.height))).all(1)]


def _check_sizes(camera: Camera, *arrays: np.ndarray | None) -> None:
    for array in arrays:
        if array is not None and array.shape[:2] != (camera.height, camera.width):
            raise ValueError(
                f"an image or depth is {array.shape[1]} x {array.shape[0]}: must be as the "
                f"camera's {camera.width} x {camera.height}"
            )
