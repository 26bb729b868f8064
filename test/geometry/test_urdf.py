# SPDX-License-Identifier: Apache-2.0
"""A joint as URDF."""

from __future__ import annotations

import dataclasses
from xml.etree import ElementTree

import numpy as np
import pytest

from fpt_ros.geometry import Joint, JointFlag, JointKind
from fpt_ros.geometry.urdf import urdf_joint

HINGE = Joint(
    kind=JointKind.REVOLUTE,
    probability=0.9,
    origin=np.array([0.1, -0.2, 0.75]),
    axis=np.array([0.0, -1.0, 0.0]),
    travel=-0.5,
    rotation=np.eye(3),
    translation=np.zeros(3),
    origin_spread=0.01,
    axis_spread=0.02,
    travel_spread=0.1,
    points=4,
    residual=0.5,
    from_structure=False,
    flags=JointFlag(0),
    centre=np.zeros(3),
    covariance=np.eye(6),
)


def test_a_hinge():
    found = ElementTree.fromstring(urdf_joint(HINGE, "door & frame", "camera", "door"))
    assert found.attrib == {"name": "door & frame", "type": "revolute"}
    assert found.find("origin").attrib == {"xyz": "0.1 -0.2 0.75", "rpy": "0 0 0"}
    assert found.find("parent").attrib == {"link": "camera"}
    assert found.find("child").attrib == {"link": "door"}
    assert found.find("axis").attrib == {"xyz": "0 -1 0"}
    limit = found.find("limit").attrib
    assert (limit["lower"], limit["upper"]) == ("-0.5", "0")


def test_limits_may_be_given():
    limit = ElementTree.fromstring(urdf_joint(HINGE, limits=(0, 1.5))).find("limit").attrib
    assert (limit["lower"], limit["upper"]) == ("0", "1.5")


def test_joints_without_an_axis():
    free = dataclasses.replace(HINGE, kind=JointKind.FREE, axis=np.full(3, np.nan))
    found = ElementTree.fromstring(urdf_joint(free))
    assert found.get("type") == "floating"
    assert found.find("axis") is None
    with pytest.raises(ValueError, match="UNKNOWN: must be one that is known"):
        urdf_joint(dataclasses.replace(HINGE, kind=JointKind.UNKNOWN))
