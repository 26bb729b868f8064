# SPDX-License-Identifier: Apache-2.0
"""Joints of one degree of freedom from pokes or from an observed motion, best first."""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from fpt_ros.geometry.camera import Camera


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
    """Root mean square of what is left, pixels."""
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
        raise NotImplementedError


class NoJoint(ValueError):
    """Why there is no joint to answer; `joints` are the hypotheses, as far as there are any."""

    def __init__(self, reason: str, joints: tuple[Joint, ...] = ()) -> None:
        super().__init__(reason)
        self.joints = joints


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
    raise NotImplementedError


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
    raise NotImplementedError
