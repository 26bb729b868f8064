# SPDX-License-Identifier: Apache-2.0
"""Joints that explain how points of a part were seen to move."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from fpt_ros.geometry.choosing import MARGIN, as_joints, flags_of, ranked
from fpt_ros.geometry.depth import depth_at, depth_noise
from fpt_ros.geometry.evidence import Evidence, make_evidence
from fpt_ros.geometry.fitting import costs
from fpt_ros.geometry.hypotheses import Hypothesis, kinds_wanted, plain_hypotheses
from fpt_ros.geometry.joint import Joint, JointFlag, JointKind, NoJoint
from fpt_ros.geometry.motions import Slide
from fpt_ros.geometry.priors import weak
from fpt_ros.geometry.structure import find_structure

if TYPE_CHECKING:
    from jaxtyping import Float

    from fpt_ros.geometry.camera import Camera

FEWEST = 20
"""Points with depth: of fewer, most joints that were found were wrong (docs/joints.md)."""
COUNTS = 12.0
"""As how many points all count at most: a tracker's errors are alike on neighbouring points."""
SMALL = 4.0
"""Pixels: of less motion little is seen."""
FINEST, COARSEST = 0.1, 6.0
"""Pixels, of the followed points' errors; coarser ones are not of one rigid part."""
TRIPLES, NEAR, DEEP = 400, 3.0, 5.0
"""Tried, and what still moves as they do: pixels, and standard deviations of depth."""
GAUSS = 1.4826
"""Median absolute deviation to standard deviation."""


def observe_joints(
    camera: Camera,
    before: Float[np.ndarray, "n 2"],
    after: Float[np.ndarray, "n 2"],
    depth_before: Float[np.ndarray, "h w"],
    depth_after: Float[np.ndarray, "h w"] | None = None,
    *,
    kind: JointKind = JointKind.UNKNOWN,
    up: Float[np.ndarray, " 3"] | None = None,
) -> list[Joint]:
    """Joints that explain how points of a part were seen to move, best first.

    Some of the points may have been lost, or be of something else: the fit is robust.

    Args:
        before, after: pixels of the same points in both images.
        depth_before, depth_after: metres, NaN for holes, registered to the images; without the
            later one, motion along the line of sight is known less well.
        kind, up: as in `fit_joints`.

    Raises:
        NoJoint: too few points, none with depth, nothing that moved, or no rigid motion in it.
        ValueError: shapes that do not fit.
    """
    evidence = _seen(camera, before, after, depth_before, depth_after)
    evidence = consensus(evidence)
    part = evidence.start + evidence.centre
    structure = find_structure(part, np.empty((0, 3)), up)
    kinds = kinds_wanted(kind)
    found = plain_hypotheses(evidence, (*kinds, JointKind.FREE), len(part), structure)
    evidence = _with_measured_noise(evidence, min(found, key=lambda h: h.bic))
    count = min(COUNTS, len(part))
    found = plain_hypotheses(evidence, kinds, count, structure)
    best = ranked(found, evidence.start)
    still = costs(Slide(), np.zeros((1, 3)), evidence, weak(Slide()))
    if not 2 * still[0] > best[0].bic + MARGIN:
        raise NoJoint("nothing moved: what was seen is as likely of a part that stays")
    flags = flags_of(best, evidence.start, evidence.centre)
    flow = np.linalg.norm(evidence.pixels - evidence.project(evidence.start[None])[0], axis=1)
    if np.median(flow) < SMALL:
        flags |= JointFlag.SMALL_MOTION
    return as_joints(best, evidence, flags)


def _seen(
    camera: Camera,
    before: Float[np.ndarray, "n 2"],
    after: Float[np.ndarray, "n 2"],
    depth_before: Float[np.ndarray, "h w"],
    depth_after: Float[np.ndarray, "h w"] | None,
) -> Evidence:
    """What was seen of points with depth, followed to a pixel.

    Raises:
        NoJoint: too few points.
    """
    before = np.asarray(before, float).reshape(-1, 2)
    after = np.asarray(after, float).reshape(-1, 2)
    if before.shape != after.shape:
        raise ValueError(f"before {before.shape} and after {after.shape} must be the same points")
    if len(before) < FEWEST:
        raise NoJoint(f"{len(before)} points were followed: at least {FEWEST} are needed")
    start = camera.unproject(before, depth_at(depth_before, before))
    good = np.isfinite(start).all(1) & np.isfinite(after).all(1)
    if good.sum() < FEWEST:
        raise NoJoint(f"{good.sum()} of the points have depth: at least {FEWEST} are needed")
    ahead = np.full(len(before), np.nan)
    if depth_after is not None:
        ahead = depth_at(depth_after, after)
    start, after, ahead = start[good], camera.straightened(after[good]), ahead[good]
    noise = np.hypot(depth_noise(start[:, 2]), depth_noise(np.where(ahead > 0, ahead, start[:, 2])))
    return make_evidence(camera, start, after, ahead, 1.0, noise, robust=True)


def _with_measured_noise(evidence: Evidence, best: Hypothesis) -> Evidence:
    """Spread as the best fit leaves it.

    Raises:
        NoJoint: it leaves more than a rigid part would.
    """
    moved = best.motion.moved(best.parameters[None], evidence.start)
    pixels, depth = evidence.residuals(moved)
    spread = GAUSS * float(np.median(np.abs(pixels)))
    if spread > COARSEST:
        raise NoJoint(f"what moved is not one rigid part: {spread:.1f} px from any rigid motion")
    factor = 1.0
    known = np.isfinite(evidence.depth)
    if known.sum() >= FEWEST:
        factor = float(np.clip(GAUSS * np.median(np.abs(depth[0, known])), 0.1, 3))
    return dataclasses.replace(
        evidence,
        whiten=evidence.whiten / max(spread, FINEST),
        depth_spread=evidence.depth_spread * factor,
        weight=np.full(len(pixels[0]), min(1.0, COUNTS / len(pixels[0]))),
    )


def consensus(evidence: Evidence) -> Evidence:
    """The points that move as one part, those whose depth is known at both times deciding.

    Rigid motions of random triples (W. Kabsch, 1976) are tried on all points; without depth after
    the motion all points are kept.
    """
    known = np.flatnonzero(np.isfinite(evidence.depth))
    if len(known) < FEWEST:
        return evidence
    start = evidence.start + evidence.centre
    ends = evidence.camera.unproject(evidence.pixels, evidence.depth)
    rng = np.random.default_rng(0)
    triples = known[rng.integers(len(known), size=(TRIPLES, 3))]
    turns, shifts = rigid_motions(start[triples], ends[triples])
    moved = start @ turns.mT + shifts[:, None] - evidence.centre
    off = np.linalg.norm(evidence.project(moved) - evidence.pixels, axis=-1)
    near = off < NEAR
    near &= np.isnan(evidence.depth) | (np.abs(evidence.residuals(moved)[1]) < DEEP)
    best = near[near.sum(1).argmax()]
    if best.sum() < FEWEST:
        raise NoJoint(
            f"what moved is not one rigid part: only {best.sum()} of {len(best)} points move alike"
        )
    names = [f.name for f in dataclasses.fields(evidence) if f.name not in ("centre", "camera")]
    chosen: dict[str, Any] = {name: getattr(evidence, name)[best] for name in names}
    return dataclasses.replace(evidence, **chosen)


def rigid_motions(
    start: Float[np.ndarray, "h n 3"], end: Float[np.ndarray, "h n 3"]
) -> tuple[Float[np.ndarray, "h 3 3"], Float[np.ndarray, "h 3"]]:
    """Rotations and shifts that take points to points, by least squares."""
    middle, target = start.mean(1, keepdims=True), end.mean(1, keepdims=True)
    u, _, vt = np.linalg.svd((start - middle).mT @ (end - target))
    mirror = np.ones((len(u), 3))
    mirror[:, 2] = np.linalg.det(u @ vt)
    turns = (vt.mT * mirror[:, None]) @ u.mT
    return turns, (target - middle @ turns.mT)[:, 0]
