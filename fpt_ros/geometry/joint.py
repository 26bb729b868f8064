# SPDX-License-Identifier: Apache-2.0
"""A hypothesis of how a part is joined to the world."""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.geometry.motions import rotations

if TYPE_CHECKING:
    from jaxtyping import Float


class JointKind(enum.IntEnum):
    """As in msg/Joint."""

    UNKNOWN = 0
    FIXED = 1
    PRISMATIC = 2
    REVOLUTE = 3
    FREE = 4


class JointFlag(enum.IntFlag):
    """As in msg/Joint: what makes a joint doubtful."""

    ONE_POKE = 1
    AMBIGUOUS_KIND = 2
    HYPOTHESES_DISAGREE = 4
    SMALL_MOTION = 8
    DEPTH_MOTION_LARGE = 16
    POKE_WITHOUT_DEPTH = 32


@dataclasses.dataclass(frozen=True)
class Joint:
    """One hypothesis of how a part is joined to the world, and how far it went.

    Metres and radians in the image's optical frame.
    """

    kind: JointKind
    probability: float
    """Of this hypothesis among those in its list."""
    origin: Float[np.ndarray, " 3"]
    """Point of the axis that is nearest to the part; of slides: the part's middle."""
    axis: Float[np.ndarray, " 3"]
    """Unit; rotations about it are right-handed. NaN for FREE and FIXED."""
    travel: float
    """Metres along the axis, or radians about it; positive, the axis points that way."""
    rotation: Float[np.ndarray, "3 3"]
    translation: Float[np.ndarray, " 3"]
    """The part's motion: x -> rotation x + translation."""
    origin_spread: float
    """Standard deviation across the axis, metres; NaN: not known. Slides have no place: NaN."""
    axis_spread: float
    """Radians."""
    travel_spread: float
    """Metres or radians."""
    points: int
    """That it rests on."""
    residual: float
    """Root mean square of what is left, pixels; NaN: no point was followed."""
    from_structure: bool
    """Whether the axis was taken from edges and normals found in depth."""
    flags: JointFlag
    centre: Float[np.ndarray, " 3"]
    """Of the part before it moved: `covariance` is for motions about it."""
    covariance: Float[np.ndarray, "6 6"]
    """Of small turns [rad] about the moved centre and shifts [m]."""

    def move(
        self, points: Float[np.ndarray, "n 3"], travel: float | None = None
    ) -> Float[np.ndarray, "n 3"]:
        """Displacements [m] of points of the part; of another travel (m, rad) where it is given.

        Raises:
            ValueError: another travel of a motion that is not along or about an axis.
        """
        points = np.asarray(points, float)
        if travel is None:
            return points @ (self.rotation - np.eye(3)).T + self.translation
        if self.kind == JointKind.PRISMATIC:
            return np.broadcast_to(travel * self.axis, points.shape).copy()
        if self.kind != JointKind.REVOLUTE:
            raise ValueError(
                f"travel is {travel}: a {self.kind.name} joint has no axis to go along"
            )
        [turn] = rotations(travel * self.axis[None])
        return (points - self.origin) @ (turn - np.eye(3)).T


class NoJoint(ValueError):
    """Why there is no joint to answer; `joints` are the hypotheses, as far as there are any."""

    def __init__(self, reason: str, joints: tuple[Joint, ...] = ()) -> None:
        super().__init__(reason)
        self.joints = joints
