# SPDX-License-Identifier: Apache-2.0
"""A joint as a piece of URDF, for a robot's description of what it acts on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

from fpt_ros.geometry.joint import JointKind

if TYPE_CHECKING:
    from fpt_ros.geometry.joint import Joint

TYPES = {
    JointKind.FIXED: "fixed",
    JointKind.PRISMATIC: "prismatic",
    JointKind.REVOLUTE: "revolute",
    JointKind.FREE: "floating",
}
EFFORT, VELOCITY = 10.0, 0.5
"""Limits that URDF demands and that nothing is known of [N or N m, m/s or rad/s]."""


def urdf_joint(
    joint: Joint,
    name: str = "observed_joint",
    parent: str = "camera_optical_frame",
    child: str = "part",
    limits: tuple[float, float] | None = None,
) -> str:
    """The `<joint>` element (wiki.ros.org/urdf/XML/joint), at the joint's origin.

    Args:
        parent: the link of the image's optical frame, in which the joint is given.
        child: the link of the part; its frame lies in the joint's origin, with the parent's axes.
        limits: lower and upper, m or rad, from where the part was; None: as far as it was seen or
            asked to go.

    Raises:
        ValueError: a joint whose kind is not known.
    """
    if joint.kind not in TYPES:
        raise ValueError(f"the joint's kind is {joint.kind.name}: must be one that is known")
    has_axis = joint.kind in (JointKind.PRISMATIC, JointKind.REVOLUTE)
    place = joint.origin if all(map(math.isfinite, joint.origin)) else (0.0, 0.0, 0.0)
    lines = [
        f"<joint name={quoteattr(name)} type={quoteattr(TYPES[joint.kind])}>",
        f'  <origin xyz="{_numbers(place)}" rpy="0 0 0"/>',
        f"  <parent link={quoteattr(parent)}/>",
        f"  <child link={quoteattr(child)}/>",
    ]
    if has_axis:
        low, high = limits or (min(joint.travel, 0.0), max(joint.travel, 0.0))
        lines += [
            f'  <axis xyz="{_numbers(joint.axis)}"/>',
            f'  <limit lower="{low:.6g}" upper="{high:.6g}" effort="{EFFORT:g}" '
            f'velocity="{VELOCITY:g}"/>',
        ]
    return "\n".join([*lines, "</joint>"])


def _numbers(values: object) -> str:
    return " ".join(f"{value:.6g}" for value in values)  # type: ignore[attr-defined]
