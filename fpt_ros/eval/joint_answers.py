# SPDX-License-Identifier: Apache-2.0
"""Answers about a known joint and how far off they are, by our fit and by simpler ways."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from fpt_ros.geometry import Joint, JointFlag, JointKind, depth_at, displacements

if TYPE_CHECKING:
    from jaxtyping import Float

    from fpt_ros.eval.known_joints import KnownJoint

USABLE, STEEPEST, FARTHEST = 0.25, 10.0, 0.02
"""A usable answer has the right kind, errs by less than this share of the motion, and its axis by
so many degrees and, of hinges, metres."""
TURNED, PITCH = 5.0, 0.3
"""PnP's kind: a slide turns by fewer degrees; a hinge's screw has less pitch, as a share of the
motion."""
INSIDE = 6.251
"""A Gaussian of three dimensions lies in this squared distance with 90 %."""


@dataclasses.dataclass
class Answer:
    """Of one way to one question in one scene; NaN where there is none."""

    scene: int
    name: str
    hinge: bool
    tilted: bool
    asked: str
    way: str
    error: float = float("nan")
    """Of the part's visible points, as a share of their motion."""
    kind_right: bool = False
    degrees: float = float("nan")
    metres: float = float("nan")
    """From the true axis, at the part; of hinges."""
    covered: float = float("nan")
    """Share of the points whose true displacement is in the 90 % region of its covariance."""
    agreed: bool = False
    """Whether the hypotheses agree, and the answer is not flagged as a disagreement."""
    followed: int = 0

    def as_json(self) -> dict[str, Any]:
        """With null for what there is no number for."""
        values = dataclasses.asdict(self) | {"usable": self.usable, "wanted": self.wanted}
        return {name: None if value != value else value for name, value in values.items()}

    @property
    def usable(self) -> bool:
        near = self.metres < FARTHEST or not self.hinge
        return self.kind_right and self.error < USABLE and self.degrees < STEEPEST and near

    @property
    def wanted(self) -> bool:
        """Axis within 5 degrees and, of hinges, 2 cm."""
        near = self.metres < FARTHEST or not self.hinge
        return self.kind_right and self.degrees < 5 and near


def of_joints(about: dict[str, Any], known: KnownJoint, way: float, joints: list[Joint]) -> Answer:
    """The best joint's."""
    if not joints:
        return Answer(**about)
    best, truth = joints[0], known.truth(known.points, way)
    answer = _judged(about, known, truth, best.move(known.points))
    answer.kind_right = bool((best.kind == JointKind.REVOLUTE) == answer.hinge)
    _judge_axis(answer, known, best.axis, best.origin)
    answer.agreed = JointFlag.HYPOTHESES_DISAGREE not in best.flags
    mean, covariance = displacements(joints, known.points)
    off = (truth - mean)[..., None]
    squares = (off.mT @ np.linalg.solve(covariance + 1e-10 * np.eye(3), off))[:, 0, 0]
    answer.covered = float(np.mean(squares < INSIDE))
    return answer


def naive(
    about: dict, known: KnownJoint, way: float, before: Any, after: Any, depth: Any
) -> Answer:
    """Every point's own end at its old depth; judged on the points that were followed."""
    z = depth_at(depth, before)
    start, end = known.camera.unproject(before, z), known.camera.unproject(after, z)
    good = np.isfinite(start).all(1) & np.isfinite(end).all(1)
    if not good.any():
        return Answer(**about)
    return _judged(about, known, known.truth(start[good], way), (end - start)[good])


def translation(
    about: dict, known: KnownJoint, way: float, before: Any, after: Any, depth: Any
) -> Answer:
    """The shift in space that explains the flow best, by least squares."""
    start = known.camera.unproject(before, depth_at(depth, before))
    good = np.isfinite(start).all(1)
    if good.sum() < 3:
        return Answer(**about)
    x, rays = start[good], known.camera.rays(after[good])
    # (x + tx) - u (z + tz) = 0 for either coordinate: linear in t
    rows = np.concatenate([_linear(rays[:, 0], 0), _linear(rays[:, 1], 1)])
    values = np.concatenate([rays[:, i] * x[:, 2] - x[:, i] for i in (0, 1)])
    shift = np.linalg.lstsq(rows, values, rcond=None)[0]
    answer = _judged(
        about, known, known.truth(known.points, way), np.broadcast_to(shift, known.points.shape)
    )
    answer.kind_right = not answer.hinge
    _judge_axis(answer, known, shift / max(np.linalg.norm(shift), 1e-12), np.zeros(3))
    return answer


def perspective(
    about: dict, known: KnownJoint, way: float, before: Any, after: Any, depth: Any
) -> Answer:
    """PnP with RANSAC, taken at its word; its kind by thresholds on its screw."""
    start = known.camera.unproject(before, depth_at(depth, before))
    good = np.isfinite(start).all(1)
    if good.sum() < 6:
        return Answer(**about)
    settings: Any = {"reprojectionError": 4.0, "iterationsCount": 200}
    none: Any = None
    found, turn, shift, _ = cv2.solvePnPRansac(
        start[good], np.ascontiguousarray(after[good]), known.camera.matrix, none, **settings
    )
    if not found:
        return Answer(**about)
    rotation, w, t = cv2.Rodrigues(turn)[0], turn.ravel(), shift.ravel()
    moved = known.points @ (rotation - np.eye(3)).T + t
    answer = _judged(about, known, known.truth(known.points, way), moved)
    angle, middle = float(np.linalg.norm(w)), np.median(known.points, axis=0)
    way_of_middle = middle @ (rotation - np.eye(3)).T + t
    if np.degrees(angle) < TURNED:
        answer.kind_right = not answer.hinge
        _judge_axis(answer, known, way_of_middle / np.linalg.norm(way_of_middle), middle)
    else:
        axis = w / angle
        pitch = abs(way_of_middle @ axis) / max(np.linalg.norm(moved, axis=1).mean(), 1e-9)
        answer.kind_right = bool(answer.hinge and pitch < PITCH)
        across = way_of_middle - axis * (axis @ way_of_middle)
        origin = middle + 0.5 * (across + np.cross(axis, across) / np.tan(angle / 2))
        _judge_axis(answer, known, axis, origin)
    return answer


def _judged(
    about: dict,
    known: KnownJoint,
    truth: Float[np.ndarray, "n 3"],
    said: Float[np.ndarray, "n 3"],
) -> Answer:
    error = np.linalg.norm(said - truth, axis=1).mean() / np.linalg.norm(truth, axis=1).mean()
    return Answer(**about, error=float(error))


def _judge_axis(
    answer: Answer,
    known: KnownJoint,
    axis: Float[np.ndarray, " 3"],
    origin: Float[np.ndarray, " 3"],
) -> None:
    true = known.scene.axis
    answer.degrees = float(np.degrees(np.arccos(np.clip(axis @ true, -1, 1))))
    if answer.hinge:
        apart = origin - known.scene.origin
        answer.metres = float(np.linalg.norm(apart - true * (apart @ true)))


def _linear(ray: Float[np.ndarray, " n"], coordinate: int) -> Float[np.ndarray, "n 3"]:
    rows = np.zeros((len(ray), 3))
    rows[:, coordinate], rows[:, 2] = 1, -ray
    return rows
