# SPDX-License-Identifier: Apache-2.0
"""Joints of one degree of freedom from pokes or from an observed motion, best first."""

from fpt_ros.geometry.joint import Joint, JointFlag, JointKind, NoJoint
from fpt_ros.geometry.poking import Field, fit_joints
from fpt_ros.geometry.seeing import observe_joints

__all__ = ["Field", "Joint", "JointFlag", "JointKind", "NoJoint", "fit_joints", "observe_joints"]
