# SPDX-License-Identifier: Apache-2.0
"""From the images before and after a push to the joint of what moved."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from fpt_ros.data.lucas_kanade import follow_surely
from fpt_ros.geometry.aligning import Alignment
from fpt_ros.geometry.choosing import as_joints, flags_of, ranked
from fpt_ros.geometry.depth import depth_at
from fpt_ros.geometry.evidence import make_evidence
from fpt_ros.geometry.hypotheses import kinds_wanted
from fpt_ros.geometry.joint import Joint, JointFlag, JointKind, NoJoint
from fpt_ros.geometry.seeing import SMALL, observe_joints

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

    from fpt_ros.geometry.camera import Camera

MOST, QUALITY = 800, 0.002
"""Corners that are followed, and how weak they may be beside the strongest."""
COARSE, FINE = 6.0, 3.0
"""Pixels between them, over the whole image and where something moved."""
LATTICE = 3
"""Times as far apart are further places between the corners."""
STIRRED = 1.0
"""Pixels: points that went further have moved."""
MARGIN = 20.0
"""Pixels round what moved, and round pokes."""


@dataclasses.dataclass(frozen=True)
class Observation:
    """Points that were followed, how they moved, and the joints that this shows."""

    points: Float[np.ndarray, "n 2"]
    shifts: Float[np.ndarray, "n 2"]
    """Pixels."""
    moved: Bool[np.ndarray, " n"]
    """Which of them moved."""
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

    With depth afterwards, the joint is fitted to all that changed (`align`), from there and from
    other starts. The camera stands still, and one part moves. Images are RGB; depth is in metres,
    NaN for holes, registered.

    Args:
        pokes: what was done [px]; more points are followed about them.

    Raises:
        ValueError: images or depth of other sizes than the camera's.
    """
    _check_sizes(camera, image_before, image_after, depth_before, depth_after)
    points, shifts = _follow_all(image_before, image_after, pokes)
    moved = np.linalg.norm(shifts, axis=1) > STIRRED
    before, after = points[moved], points[moved] + shifts[moved]
    joints, reason = [], ""
    try:
        joints = observe_joints(camera, before, after, depth_before, depth_after, kind=kind, up=up)
    except NoJoint as no:
        reason = str(no)
    if depth_after is not None:
        images = image_before, image_after
        better = align(
            camera, images, (depth_before, depth_after), joints, before, after, kind, pokes
        )
        joints = better or joints
    return Observation(points, shifts, moved, joints, "" if joints else reason)


def align(
    camera: Camera,
    images: tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w 3"]],
    depths: tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]],
    joints: list[Joint],
    before: Float[np.ndarray, "n 2"],
    after: Float[np.ndarray, "n 2"],
    kind: JointKind,
    pokes: Float[np.ndarray, "p 4"] | None = None,
) -> list[Joint]:
    """Joints that explain all pixels that changed, best first; empty where none does.

    Args:
        joints: found otherwise; starts.
        before, after: pixels of points that were followed; what is left is measured on them.
    """
    alignment = Alignment(camera, images, depths, pokes)
    found = alignment.hypotheses(kinds_wanted(kind), joints)
    if not found:
        return []
    points = alignment.points + alignment.centre
    best = ranked(found, alignment.points)
    shifts = best[0].shifts(alignment.points)
    flags = flags_of(best, alignment.points, alignment.centre)
    flow = np.linalg.norm(camera.project(points + shifts) - camera.project(points), axis=1)
    if np.nanmedian(flow) < SMALL:
        flags |= JointFlag.SMALL_MOTION
    start = camera.unproject(before, depth_at(depths[0], before))
    known = np.isfinite(start).all(1)
    start, ends = start[known], camera.straightened(after[known])
    evidence = make_evidence(camera, start, ends, np.full(len(start), np.nan), 1.0, robust=True)
    evidence = dataclasses.replace(
        evidence, start=start - alignment.centre, centre=alignment.centre
    )
    return [
        dataclasses.replace(joint, points=alignment.count)
        for joint in as_joints(best, evidence, flags)
    ]


def follow(
    before: UInt8[np.ndarray, "h w 3"],
    after: UInt8[np.ndarray, "h w 3"],
    points: Float[np.ndarray, "n 2"],
) -> tuple[Float[np.ndarray, "n 2"], Bool[np.ndarray, " n"]]:
    """How points move from one image to another [px], and which were not lost."""
    height, width = before.shape[:2]
    side = max(height, width)
    padding = (0, side - height, 0, side - width, cv2.BORDER_REPLICATE)
    frames = [cv2.copyMakeBorder(image, *padding) for image in (before, after)]
    found, sure = follow_surely(frames[0], frames[1], points.astype(np.float32))
    ends = found.astype(float)
    inside = ((ends > -0.5) & (ends < (width - 0.5, height - 0.5))).all(1)
    return ends - points, sure & inside


def _follow_all(
    image_before: UInt8[np.ndarray, "h w 3"],
    image_after: UInt8[np.ndarray, "h w 3"],
    pokes: Float[np.ndarray, "p 4"] | None,
) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, "n 2"]]:
    """Points and their shifts [px], most of them about pokes and about what moved."""
    some = _corners(image_before, None)
    if pokes is not None:
        some = np.concatenate([some, _corners(image_before, np.asarray(pokes)[:, :2])])
    shifts, good = follow(image_before, image_after, some)
    moved = good & (np.linalg.norm(shifts, axis=1) > STIRRED)
    if moved.any():
        more = _corners(image_before, some[moved])
        found, seen = follow(image_before, image_after, more)
        some, shifts = np.concatenate([some, more]), np.concatenate([shifts, found])
        good = np.concatenate([good, seen])
    some, chosen = np.unique(some, axis=0, return_index=True)
    shifts, good = shifts[chosen], good[chosen]
    return some[good], shifts[good]


def _corners(
    image: UInt8[np.ndarray, "h w 3"], within: Float[np.ndarray, "n 2"] | None
) -> Float[np.ndarray, "m 2"]:
    """Corners and a lattice: of the whole image, or denser in the box round some points."""
    grey, box = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), None
    apart = COARSE
    if within is not None:
        box, apart = np.zeros_like(grey), FINE
        low = np.maximum(within.min(0) - MARGIN, 0).astype(int)
        high = (within.max(0) + MARGIN).astype(int)
        box[low[1] : high[1], low[0] : high[0]] = 1
    found: Any = cv2.goodFeaturesToTrack(grey, MOST, QUALITY, apart, mask=box)
    corners = np.empty((0, 2)) if found is None else np.reshape(found, (-1, 2)).astype(float)
    step = int(LATTICE * apart)
    rows, columns = np.nonzero(np.ones_like(grey) if box is None else box)
    chosen = (rows % step == 0) & (columns % step == 0)
    return np.concatenate([corners, np.column_stack([columns, rows])[chosen]])


def _check_sizes(camera: Camera, *arrays: np.ndarray | None) -> None:
    for array in arrays:
        if array is not None and array.shape[:2] != (camera.height, camera.width):
            raise ValueError(
                f"an image or depth is {array.shape[1]} x {array.shape[0]}: must be as the "
                f"camera's {camera.width} x {camera.height}"
            )
