# SPDX-License-Identifier: Apache-2.0
"""From pixels and depth to metres: cameras, rigid motions, and the joints that they come from.

Everything is in the image's optical frame (x right, y down, z forward; REP 103), in metres and
radians. No ROS here. `docs/joints.md` says what the fits are worth.
"""

from fpt_ros.geometry.camera import Camera
from fpt_ros.geometry.depth import depth_at, read_depth
from fpt_ros.geometry.displacements import displacements
from fpt_ros.geometry.joints import (
    Field,
    Joint,
    JointFlag,
    JointKind,
    NoJoint,
    fit_joints,
    observe_joints,
)
from fpt_ros.geometry.observing import Observation, observe

__all__ = [
    "Camera",
    "Field",
    "Joint",
    "JointFlag",
    "JointKind",
    "NoJoint",
    "Observation",
    "depth_at",
    "displacements",
    "fit_joints",
    "observe",
    "observe_joints",
    "read_depth",
]
