# SPDX-License-Identifier: Apache-2.0
"""The planner's demo as a user runs it: the real node as a process, over DDS, closed loop."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import cv2
import numpy as np
import torch

from fpt_ros.apps.planner_demo.trials import AGAIN, NEAREST, PLANNER, RANDOM, TRIES
from fpt_ros.engine.motion import Motion
from fpt_ros.model import MotionMixture


def planner_demo(*arguments: str, domain: int = 73) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "fpt_ros.apps.planner_demo", *arguments],
        capture_output=True,
        text=True,
        timeout=180,
        env=os.environ | {"ROS_DOMAIN_ID": str(domain)},
        check=False,
    )


def test_two_scenes_closed_loop(tmp_path):
    out = tmp_path / "planner-demo"
    result = planner_demo("--scenes", "2", "--films", "1", "--out", str(out))
    assert result.returncode == 0, result.stderr
    for words in (PLANNER, AGAIN, NEAREST, RANDOM, "heldout_c", "heldout_d", str(out)):
        assert words in result.stdout
    trials = json.loads((out / "results.json").read_text())
    assert [trial["split"] for trial in trials] == ["heldout_c", "heldout_d"]
    for trial in trials:
        x, y, dx, dy = trial["verdicts"][PLANNER]["poke"]
        distance = np.hypot(x - trial["point"][0], y - trial["point"][1])
        assert distance > trial["forbidden_radius"] - 1  # rounding to pixels
        assert np.hypot(dx, dy) <= 0.3 * trial["image_side"] + 1e-6
        tries = trial["tries"]
        assert all(0 <= one["expected"]["probability"] <= 1 for one in tries)
        reached = [one["verdict"]["reached"] for one in tries]
        assert not any(reached[:-1]) and (reached[-1] or len(tries) == TRIES)
        assert trial["verdicts"][AGAIN] == tries[-1]["verdict"]
        for verdict in trial["verdicts"].values():
            assert verdict["reached"] == (verdict["error"] <= 0.04)
            moved = max(verdict["stay_moved"], verdict["bystander_moved"])
            assert verdict["stayed"] == (moved <= 0.02)
    [picture] = out.glob("1_heldout_?.png")
    assert cv2.imread(str(picture)).std() > 10
    video = cv2.VideoCapture(str(out / "runs.webm"))
    shots = [shot for ok, shot in iter(video.read, (False, None)) if ok]
    assert len(shots) > 200  # two still parts, the push and the verdict
    assert np.abs(shots[150].astype(int) - shots[170]).max() > 30  # something happens


def test_a_node_that_cannot_start_ends_the_demo_with_its_reason(tmp_path):
    out = str(tmp_path / "planner-demo")
    result = planner_demo("--scenes", "1", "--checkpoint", "nowhere.pt", "--out", out)
    assert result.returncode == 1
    assert "'nowhere.pt' is not a file" in result.stderr
    assert "Traceback" not in result.stderr


def test_plans_over_ros_have_the_library_s_means_and_covariances():
    tril = torch.randn(5, 4, 2, 2, generator=torch.Generator().manual_seed(0)).double().tril()
    logits, locs = torch.randn(5, 4).double().log_softmax(-1), torch.randn(5, 4, 2).double()
    mixture = MotionMixture(logits, locs, tril.abs())
    arrays = (mixture.weights.numpy(), locs.numpy(), mixture.covariances.numpy())
    motion = Motion(np.zeros((1, 4)), np.zeros((5, 2)), *arrays, image_size=(64, 48))
    np.testing.assert_allclose(motion.mean, mixture.mean)
    np.testing.assert_allclose(motion.covariance, mixture.covariance)
