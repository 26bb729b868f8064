# SPDX-License-Identifier: Apache-2.0
"""From hypotheses to a list of joints: which are alike, how probable, and what is doubtful."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.geometry.joint import Joint, JointFlag, JointKind
from fpt_ros.geometry.priors import axes_of

if TYPE_CHECKING:
    from jaxtyping import Float

    from fpt_ros.geometry.evidence import Evidence
    from fpt_ros.geometry.hypotheses import Hypothesis

MOST = 6
"""Joints in a list."""
ALIKE = 0.03
"""Two hypotheses of one kind are the same if they move points as alike, as a share of the motion.
"""
MARGIN = 4.0
"""Of BIC between the kinds, below which the kind is ambiguous."""
DOUBT, DISAGREEING = 2.0, 0.25
"""The agreement test: hypotheses this close to the best in BIC move the points differently by more
than this share of the motion."""
ALONG_SIGHT = 0.6
"""Share of the motion along the line of sight above which a flag says so."""


def ranked(found: list[Hypothesis], points: Float[np.ndarray, "n 3"]) -> list[Hypothesis]:
    """Best first, without those that repeat a better one; the best of each kind stays."""
    kept: list[Hypothesis] = []
    for one in sorted((h for h in found if np.isfinite(h.bic)), key=lambda h: h.bic):
        same = (other for other in kept if other.kind == one.kind)
        if all(difference(one, other, points) > ALIKE for other in same):
            kept.append(one)
    first = [next(h for h in kept if h.kind == kind) for kind in {h.kind: None for h in kept}]
    rest = [h for h in kept if not any(h is other for other in first)]
    return sorted(first + rest[: MOST - len(first)], key=lambda h: h.bic)


def difference(one: Hypothesis, other: Hypothesis, points: Float[np.ndarray, "n 3"]) -> float:
    """Mean distance between where two hypotheses take points, as a share of the better's way."""
    best, second = other.shifts(points), one.shifts(points)
    length = float(np.linalg.norm(best, axis=1).mean())
    return float(np.linalg.norm(best - second, axis=1).mean()) / max(length, 1e-9)


def flags_of(
    hypotheses: list[Hypothesis], points: Float[np.ndarray, "n 3"], centre: Float[np.ndarray, " 3"]
) -> JointFlag:
    """What is doubtful about a ranked list; the same flags for all in it."""
    best, flags = hypotheses[0], JointFlag(0)
    others = [h.bic - best.bic for h in hypotheses if h.kind != best.kind]
    if others and min(others) < MARGIN:
        flags |= JointFlag.AMBIGUOUS_KIND
    close = [h for h in hypotheses[1:] if h.bic - best.bic <= DOUBT]
    if any(difference(h, best, points) > DISAGREEING for h in close):
        flags |= JointFlag.HYPOTHESES_DISAGREE
    shifts, sight = best.shifts(points), points + centre
    sight = sight / np.linalg.norm(sight, axis=1, keepdims=True)
    along = np.abs((shifts * sight).sum(1)).mean()
    if along > ALONG_SIGHT * np.linalg.norm(shifts, axis=1).mean():
        flags |= JointFlag.DEPTH_MOTION_LARGE
    return flags


def as_joints(hypotheses: list[Hypothesis], evidence: Evidence, flags: JointFlag) -> list[Joint]:
    """In the optical frame, with probabilities."""
    weights = np.exp(-0.5 * np.array([h.bic - hypotheses[0].bic for h in hypotheses]))
    weights /= weights.sum()
    return [
        as_joint(h, float(w), evidence, flags) for h, w in zip(hypotheses, weights, strict=True)
    ]


def as_joint(
    hypothesis: Hypothesis, probability: float, evidence: Evidence, flags: JointFlag
) -> Joint:
    """In the optical frame."""
    parameters, centre = hypothesis.parameters, evidence.centre
    rotation, shift = hypothesis.motion.pose(parameters)
    origin, axis, travel, spreads = _axis(hypothesis)
    offset = evidence.project(hypothesis.motion.moved(parameters[None], evidence.start))[0]
    errors = ((offset - evidence.pixels) ** 2).sum(1)
    return Joint(
        kind=hypothesis.kind,
        probability=probability,
        origin=origin + centre,
        axis=axis,
        travel=travel,
        rotation=rotation,
        translation=shift + centre - rotation @ centre,
        origin_spread=spreads[0],
        axis_spread=spreads[1],
        travel_spread=spreads[2],
        points=len(errors),
        residual=_root_mean_square(errors, evidence),
        from_structure=hypothesis.from_structure,
        flags=flags,
        centre=centre,
        covariance=_twist_covariance(hypothesis),
    )


def _root_mean_square(errors: Float[np.ndarray, " n"], evidence: Evidence) -> float:
    """Of the better part of robust points: the rest may be of something else. NaN: no points that
    the camera still sees."""
    errors = errors[np.isfinite(errors)]
    if not len(errors):
        return float("nan")
    most = np.quantile(errors, 0.9) if evidence.robust.all() else np.inf
    return float(np.sqrt(errors[errors <= most].mean()))


def _axis(
    hypothesis: Hypothesis,
) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"], float, tuple[float, float, float]]:
    """Origin [m from the part's middle], unit axis, travel, and their spreads."""
    parameters, covariance = hypothesis.parameters, hypothesis.covariance
    nan = float("nan")
    if hypothesis.kind not in (JointKind.PRISMATIC, JointKind.REVOLUTE):
        return np.zeros(3), np.full(3, nan), nan, (nan, nan, nan)
    [axis], [by_axis] = axes_of(parameters[None])
    along = covariance[:3, :3]
    travel = float(np.linalg.norm(parameters[:3]))
    travel_spread = float(np.sqrt(axis @ along @ axis))
    axis_spread = min(float(np.sqrt(np.trace(by_axis @ along @ by_axis.T))), np.pi / 2)
    if hypothesis.kind == JointKind.PRISMATIC:
        return np.zeros(3), axis, travel, (nan, axis_spread, travel_spread)
    across = np.eye(3) - np.outer(axis, axis)
    share = -float(axis @ parameters[3:])
    slope = np.hstack([share * by_axis, across])
    origin_spread = float(np.sqrt(np.trace(slope @ covariance @ slope.T)))
    return across @ parameters[3:], axis, travel, (origin_spread, axis_spread, travel_spread)


def _twist_covariance(hypothesis: Hypothesis) -> Float[np.ndarray, "6 6"]:
    """Of small turns about the part's moved middle, and of that middle."""
    motion, parameters = hypothesis.motion, hypothesis.parameters[None]
    slope = np.vstack(
        [motion.turning(parameters)[0], motion.jacobian(parameters, np.zeros((1, 3)))[0, 0]]
    )
    return slope @ hypothesis.covariance @ slope.T
