# SPDX-License-Identifier: Apache-2.0
"""Joints that pokes ask for: what if these points of a part moved like this?"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.geometry.choosing import as_joints, flags_of, ranked
from fpt_ros.geometry.depth import depth_at
from fpt_ros.geometry.evidence import Evidence, make_evidence
from fpt_ros.geometry.hypotheses import kinds_wanted, plain_hypotheses, structure_hypotheses
from fpt_ros.geometry.joint import Joint, JointFlag, JointKind, NoJoint
from fpt_ros.geometry.structure import SCENE_POINTS, find_structure, seen_points

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from fpt_ros.geometry.camera import Camera
    from fpt_ros.geometry.structure import Structure

__all__ = ["Field", "Joint", "JointFlag", "JointKind", "NoJoint", "fit_joints"]

EXACT = 1.0
"""Pixels: spread of pokes that are called exact."""
FIELD_COUNTS = 3.0
"""As how many points the whole predicted field counts: its errors are common to all of them."""
FIELD_SPREAD = 1.0
"""Pixels, added to the predicted covariance."""
PART_POINTS = 200
WITHOUT_STRUCTURE = 4.0
"""Added to the BIC of hypotheses whose axis is not one of the part's."""
SMALL = 20.0
"""Pixels: pokes that are shorter tell little of a hinge."""
STILL = 1.0
"""Pixels: pokes that are all shorter move nothing."""


@dataclasses.dataclass(frozen=True)
class Field:
    """The predicted motion of some of the part's points, pixels."""

    points: Float[np.ndarray, "n 2"]
    mean: Float[np.ndarray, "n 2"]
    covariance: Float[np.ndarray, "n 2 2"]


def fit_joints(
    camera: Camera,
    depth: Float[np.ndarray, "h w"],
    pokes: Float[np.ndarray, "p 4"],
    mask: Bool[np.ndarray, "h w"] | None = None,
    *,
    pokes_3d: Float[np.ndarray, "q 6"] | None = None,
    poke_spread: float = 0.0,
    kind: JointKind = JointKind.UNKNOWN,
    up: Float[np.ndarray, " 3"] | None = None,
    field: Field | None = None,
) -> list[Joint]:
    """Joints that a part would have whose points move as these pokes say ("what if").

    Args:
        depth: metres, NaN for holes, registered to the image.
        pokes: x, y, dx, dy of points of one part [px].
        mask: the part; its edges and normals are candidate axes. None: they are not looked for.
        pokes_3d: x, y, z, dx, dy, dz in the optical frame [m]; beside or instead of `pokes`.
        poke_spread: standard deviation of where the pokes end [px]; 0: exact to a pixel.
        kind: what the caller knows; UNKNOWN: slides and hinges. FREE only where asked for.
        up: against gravity, in the optical frame: one more candidate for axes.
        field: predicted motions, as the weak evidence that they are.

    Returns:
        hypotheses, best first; at least the best slide and the best hinge unless `kind` is given.

    Raises:
        NoJoint: no pokes, none with depth, nothing that moves, or a single poke and no kind.
        ValueError: shapes that do not fit.
    """
    known, without_depth = _poke_evidence(camera, depth, pokes, pokes_3d, poke_spread or EXACT)
    part = seen_points(camera, depth, mask, PART_POINTS) if mask is not None else None
    structure = _structure(camera, depth, part, up)
    evidence = known
    if field is not None and len(field.points):
        evidence = known.joined(_field_evidence(known, depth, field))
    count = 2 * len(known.start) + (FIELD_COUNTS if field is not None else 0)
    kinds = kinds_wanted(kind)
    found = plain_hypotheses(evidence, kinds, count, structure, WITHOUT_STRUCTURE)
    if structure is not None:
        found += structure_hypotheses(evidence, structure, kinds, count)
    points = known.start if part is None or not len(part) else part - known.centre
    best = ranked(found, points)
    flags = flags_of(best, points, known.centre)
    flow = np.linalg.norm(known.pixels - known.project(known.start[None])[0], axis=1)
    if flow.mean() < SMALL:
        flags |= JointFlag.SMALL_MOTION
    if without_depth:
        flags |= JointFlag.POKE_WITHOUT_DEPTH
    if len(known.start) == 1:
        flags |= JointFlag.ONE_POKE
    joints = as_joints(best, known, flags)
    if len(known.start) == 1 and kind == JointKind.UNKNOWN:
        raise NoJoint(
            "one poke does not show a joint: give two or more, or the kind that it is",
            tuple(joints),
        )
    return joints


def _poke_evidence(
    camera: Camera,
    depth: Float[np.ndarray, "h w"],
    pokes: Float[np.ndarray, "p 4"],
    pokes_3d: Float[np.ndarray, "q 6"] | None,
    spread: float,
) -> tuple[Evidence, bool]:
    """Where pokes take points, and whether some have no depth and were left out.

    Raises:
        NoJoint: nothing is left of them, or nothing moves.
    """
    pokes = np.asarray(pokes, float).reshape(-1, 4)
    start = camera.unproject(pokes[:, :2], depth_at(depth, pokes[:, :2]))
    pixels = camera.straightened(pokes[:, :2] + pokes[:, 2:])
    ahead = np.full(len(pokes), np.nan)
    if pokes_3d is not None:
        given = np.asarray(pokes_3d, float).reshape(-1, 6)
        end = given[:, :3] + given[:, 3:]
        start = np.vstack([start, given[:, :3]])
        pixels = np.vstack([pixels, camera.straight().project(end)])
        ahead = np.append(ahead, end[:, 2])
    if not len(start):
        raise NoJoint("there are no pokes")
    good = np.isfinite(start).all(1) & np.isfinite(pixels).all(1)
    if not good.any():
        raise NoJoint("none of the pokes has depth")
    start, pixels, ahead = start[good], pixels[good], ahead[good]
    evidence = make_evidence(camera, start, pixels, ahead, spread)
    flow = pixels - evidence.project(evidence.start[None])[0]
    deep = np.nan_to_num(np.abs(ahead - start[:, 2]) * camera.fx / start[:, 2])
    if (np.linalg.norm(flow, axis=1) + deep < STILL).all():
        raise NoJoint(f"nothing moves: all pokes are shorter than {STILL:g} px")
    return evidence, not good.all()


def _field_evidence(known: Evidence, depth: Float[np.ndarray, "h w"], field: Field) -> Evidence:
    """The predicted motions of points with depth, weighted as FIELD_COUNTS points."""
    camera = known.camera
    start = camera.unproject(field.points, depth_at(depth, field.points))
    good = np.isfinite(start).all(1)
    count = max(int(good.sum()), 1)
    covariance = field.covariance[good] + FIELD_SPREAD**2 * np.eye(2)
    return dataclasses.replace(
        known,
        start=start[good] - known.centre,
        pixels=field.points[good] + field.mean[good],
        whiten=np.linalg.inv(np.linalg.cholesky(covariance)),
        depth=np.full(good.sum(), np.nan),
        depth_spread=np.ones(good.sum()),
        robust=np.ones(good.sum(), bool),
        weight=np.full(good.sum(), FIELD_COUNTS / count),
    )


def _structure(
    camera: Camera,
    depth: Float[np.ndarray, "h w"],
    part: Float[np.ndarray, "n 3"] | None,
    up: Float[np.ndarray, " 3"] | None,
) -> Structure | None:
    if part is None:
        return None
    return find_structure(part, seen_points(camera, depth, None, SCENE_POINTS), up)
