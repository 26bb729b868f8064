# SPDX-License-Identifier: Apache-2.0
"""Joints as messages, both ways; for RViz; and the path that a gripper has to follow."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from geometry_msgs.msg import Point, Pose, PoseStamped, Transform, Vector3
from nav_msgs.msg import Path
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from fpt_ros.geometry import Joint, JointFlag, JointKind
from fpt_ros.msg import Joint as JointMessage
from fpt_ros.ros.transforms import quaternion, rotation_matrix

if TYPE_CHECKING:
    from jaxtyping import Float

STEPS = 20
"""Of the path, from where the point is to where it ends."""
AXIS_LENGTH = 0.3
"""Metres, of a hinge's axis as it is shown."""
PEN = 0.008
"""Metres."""
BEFORE = 0.85
"""Share of its distance at which text stands, so that the part does not hide it."""
AXIS_COLOR = ColorRGBA(r=1.0, g=0.8, b=0.1, a=1.0)
PATH_COLOR = ColorRGBA(r=0.1, g=0.9, b=1.0, a=1.0)


def joint_to_message(joint: Joint) -> JointMessage:
    return JointMessage(
        kind=int(joint.kind),
        probability=float(joint.probability),
        origin=_point(joint.origin),
        axis=_vector(joint.axis),
        travel=float(joint.travel),
        motion=Transform(
            translation=_vector(joint.translation), rotation=quaternion(joint.rotation)
        ),
        origin_spread=float(joint.origin_spread),
        axis_spread=float(joint.axis_spread),
        travel_spread=float(joint.travel_spread),
        points=int(joint.points),
        residual=float(joint.residual),
        from_structure=bool(joint.from_structure),
        flags=int(joint.flags),
    )


def joint_from_message(message: JointMessage) -> Joint:
    """A joint; what is not in messages, `centre` and `covariance`, is not a number."""
    origin, axis, motion = message.origin, message.axis, message.motion
    q, shift = motion.rotation, motion.translation
    return Joint(
        kind=JointKind(message.kind),
        probability=message.probability,
        origin=np.array([origin.x, origin.y, origin.z]),
        axis=np.array([axis.x, axis.y, axis.z]),
        travel=message.travel,
        rotation=rotation_matrix(q.x, q.y, q.z, q.w),
        translation=np.array([shift.x, shift.y, shift.z]),
        origin_spread=message.origin_spread,
        axis_spread=message.axis_spread,
        travel_spread=message.travel_spread,
        points=message.points,
        residual=message.residual,
        from_structure=message.from_structure,
        flags=JointFlag(message.flags),
        centre=np.full(3, np.nan),
        covariance=np.full((6, 6), np.nan),
    )


def joint_path(joint: Joint, handle: Float[np.ndarray, " 3"], header: Header) -> Path:
    """Where a point of the part goes along the joint, from where it is to the joint's travel.

    The orientations are how the part is turned against the start. A joint without an axis gives
    the start and the end alone; a point that is not a number, none.
    """
    path = Path(header=header)
    if not np.isfinite(handle).all():
        return path
    if joint.kind in (JointKind.PRISMATIC, JointKind.REVOLUTE):
        places = [(handle + joint.move(handle[None], t)[0], t) for t in _travels(joint)]
    else:
        places = [(handle, 0.0), (handle + joint.move(handle[None])[0], joint.travel)]
    for place, travel in places:
        pose = Pose(position=_point(place), orientation=quaternion(_turned(joint, travel)))
        path.poses.append(PoseStamped(header=header, pose=pose))
    return path


def no_joint_markers(header: Header) -> MarkerArray:
    """Deletes what was shown."""
    return MarkerArray(markers=[Marker(header=header, action=Marker.DELETEALL)])


def joint_markers(joint: Joint, handle: Float[np.ndarray, " 3"], header: Header) -> MarkerArray:
    """A joint for RViz, after a marker that deletes what was there before.

    Namespaces: `axis` (an arrow along which a part slides, or about which it turns),
    `path` (where the handle goes), `text`.
    """
    markers = list(no_joint_markers(header).markers)
    if joint.kind in (JointKind.PRISMATIC, JointKind.REVOLUTE):
        start = joint.origin
        shift = joint.travel * joint.axis
        if joint.kind == JointKind.REVOLUTE:
            start, shift = start - AXIS_LENGTH / 2 * joint.axis, AXIS_LENGTH * joint.axis
        arrow = _marker(header, "axis", Marker.ARROW, AXIS_COLOR)
        arrow.scale = Vector3(x=PEN, y=2 * PEN, z=3 * PEN)
        arrow.points = [_point(start), _point(start + shift)]
        markers.append(arrow)
    line = [pose.pose.position for pose in joint_path(joint, handle, header).poses]
    if len(line) > 1:
        strip = _marker(header, "path", Marker.LINE_STRIP, PATH_COLOR)
        strip.scale.x, strip.points = PEN / 2, line
        markers.append(strip)
    text = _marker(header, "text", Marker.TEXT_VIEW_FACING, AXIS_COLOR)
    text.scale.z, text.text = 4 * PEN * BEFORE, _description(joint)
    last = line[-1] if line else _point(joint.origin)
    # At the same pixel, before what is there: it is seen from the origin of the optical frame.
    text.pose.position = Point(x=last.x * BEFORE, y=last.y * BEFORE, z=last.z * BEFORE)
    return MarkerArray(markers=[*markers, text])


def _description(joint: Joint) -> str:
    if joint.kind == JointKind.REVOLUTE:
        amount = f"hinge, {math.degrees(joint.travel):.0f} deg"
    elif joint.kind == JointKind.PRISMATIC:
        amount = f"slide, {100 * joint.travel:.1f} cm"
    else:
        amount = joint.kind.name.lower()
    doubts = ", ".join(flag.name.lower() for flag in JointFlag if flag & joint.flags and flag.name)
    return f"{amount} ({100 * joint.probability:.0f} %)" + (f"\n{doubts}" if doubts else "")


def _travels(joint: Joint) -> list[float]:
    return [float(travel) for travel in np.linspace(0, joint.travel, STEPS + 1)]


def _turned(joint: Joint, travel: float) -> Float[np.ndarray, "3 3"]:
    """How the part is turned after some travel."""
    if joint.kind == JointKind.PRISMATIC or not travel:
        return np.eye(3)
    if joint.kind != JointKind.REVOLUTE:
        return joint.rotation
    return np.eye(3) + joint.move(joint.origin + np.eye(3), travel).T


def _marker(header: Header, namespace: str, kind: int, color: ColorRGBA) -> Marker:
    marker = Marker(header=header, ns=namespace, type=kind, action=Marker.ADD, color=color)
    marker.pose.orientation.w = 1.0
    return marker


def _point(place: Float[np.ndarray, " 3"]) -> Point:
    x, y, z = (float(value) for value in place)
    return Point(x=x, y=y, z=z)


def _vector(values: Float[np.ndarray, " 3"]) -> Vector3:
    x, y, z = (float(value) for value in values)
    return Vector3(x=x, y=y, z=z)
