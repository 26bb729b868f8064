# SPDX-License-Identifier: Apache-2.0
"""Opening drawers and doors: the finger gives way, what it feels mends joints, and the demo."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import cv2
import mujoco
import numpy as np
import pytest

from fpt_ros.apps.planner_demo.feeling import most_fitting, travelled
from fpt_ros.apps.planner_demo.opening import OBSERVED, STRAIGHT, WAYS
from fpt_ros.geometry import Joint, JointFlag, JointKind
from fpt_ros.simulation.leading import LeadingFinger

DRAWER = """<mujoco><option gravity="0 0 0"/><worldbody><body name="drawer">
<joint type="slide" axis="1 0 0" range="0 0.2" limited="true" frictionloss="0.5"/>
<geom type="box" size="0.05 0.05 0.03" mass="0.3"/></body></worldbody></mujoco>"""
AXIS, ORIGIN = np.array([0.0, 1.0, 0.0]), np.array([0.1, 0.0, 0.6])


@pytest.mark.parametrize(
    ("end", "holds", "went"),
    [
        ([0.15, 0, 0], True, 0.15),
        ([0.15, 0.02, 0], True, 0.15),  # 20 N to the side
        ([0.15, 0.15, 0], False, 0.025),  # gives way 2.5 cm beside
        ([0.3, 0, 0], False, 0.2),  # at the stop
    ],
)
def test_the_finger_gives_way_beside_what_the_joint_allows(end, holds, went):
    model = mujoco.MjModel.from_xml_string(DRAWER)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    finger = LeadingFinger(model, data, model.body("drawer").id, np.zeros(3))
    assert finger.lead(np.array([end])) == holds
    assert data.qpos[0] == pytest.approx(went, abs=0.004)
    before = data.qpos[0]
    assert finger.lead(np.zeros((1, 3))) == holds  # what has given way does not hold again
    assert holds == (abs(data.qpos[0] - before) > 0.1)


def hinge(axis: np.ndarray, origin: np.ndarray) -> Joint:
    numbers = {"origin_spread": 0.01, "axis_spread": 0.1, "travel_spread": 0.1, "residual": 1.0}
    return Joint(
        kind=JointKind.REVOLUTE,
        probability=1.0,
        origin=origin,
        axis=axis / np.linalg.norm(axis),
        travel=0.1,
        rotation=np.eye(3),
        translation=np.zeros(3),
        points=60,
        from_structure=False,
        flags=JointFlag(0),
        centre=np.zeros(3),
        covariance=np.eye(6),
        **numbers,
    )


def test_where_the_finger_was_chooses_and_mends_a_joint():
    true, start = hinge(AXIS, ORIGIN), np.array([[-0.1, 0.02, 0.6]])
    places = np.concatenate([start + true.move(start, t) for t in np.linspace(0, 0.8, 9)])
    wrong = hinge(np.array([0.15, 1.0, 0.1]), np.array([0.16, 0.0, 0.56]))
    assert abs(travelled(wrong, places) - 0.8) > 0.15
    mended = most_fitting([wrong], places)
    assert mended is not None
    assert travelled(mended, places) == pytest.approx(0.8, abs=0.05)
    assert most_fitting([hinge(-AXIS, ORIGIN)], places) is None  # the other way round
    across = hinge(np.array([1.0, 0, 0]), ORIGIN)
    chosen = most_fitting([across, wrong], places)
    assert chosen is not None
    assert chosen.axis @ AXIS > 0.95


def test_two_scenes_of_the_demo(tmp_path):
    arguments = ["--task", "open", "--scenes", "2", "--seed", "100", "--out", str(tmp_path / "out")]
    result = subprocess.run(
        [sys.executable, "-m", "fpt_ros.apps.planner_demo", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert result.returncode == 0, result.stderr
    for way in WAYS:
        assert f"| {way} |" in result.stdout
    drawer, door = json.loads((tmp_path / "out/opening.json").read_text())
    assert (drawer["door"], door["door"]) == (False, True)
    observed, straight = drawer["endings"][OBSERVED], drawer["endings"][STRAIGHT]
    assert observed["success"]
    assert observed["joints"] > 0
    assert not straight["held"]
    assert not straight["success"]
    assert door["endings"][OBSERVED]["held"]
    assert cv2.imread(str(tmp_path / "out/opening.jpg")).std() > 10
