# SPDX-License-Identifier: Apache-2.0
"""The action sample_motion on a running node: results, feedback, cancel, errors."""

from __future__ import annotations

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from builtin_interfaces.msg import Time
from fpt_ros.msg import ErrorCode
from ros_harness import FRAME, scene

from fpt_ros.inference.predictor import Predictor

POKE = (40.0, 30.0, 12.0, -5.0)
X, Y = [5.0, 90.5, 0.0], [7.0, 60.25, 63.0]
SUCCEEDED, ABORTED = GoalStatus.STATUS_SUCCEEDED, GoalStatus.STATUS_ABORTED
CANCELED = GoalStatus.STATUS_CANCELED


def displacements(result):
    shape = (result.motion.samples, len(result.motion.x), 2)
    return np.asarray(result.motion.displacements).reshape(shape)


@pytest.mark.parametrize("camera_moving", [False, True])
def test_result_is_the_librarys(planner, tiny_checkpoint, camera_moving):
    stamp = planner.kept_image()
    goal = {"x": X, "y": Y, "samples": 4, "seed": 5, "camera_moving": camera_moving}
    status, result = planner.sample(POKE, stamp=stamp, **goal)
    assert (status, result.error_code, result.error_msg) == (SUCCEEDED, ErrorCode.NONE, "")
    motion = result.motion
    assert (motion.header.stamp, motion.header.frame_id) == (stamp, FRAME)
    assert (motion.image_width, motion.image_height, motion.camera_moving) == (
        96,
        64,
        camera_moving,
    )
    assert (motion.grid_width, motion.grid_height, motion.horizon.nanosec) == (0, 0, 500_000_000)
    assert (list(motion.x), list(motion.y)) == (X, Y)
    assert [(p.x, p.y, p.dx, p.dy) for p in motion.pokes] == [POKE]
    predictor = Predictor.from_checkpoint(str(tiny_checkpoint), device="cpu")
    points = np.array([X, Y]).T
    expected = predictor.sample(predictor.embed(scene()), [POKE], points, 4, 5, camera_moving)
    np.testing.assert_allclose(displacements(result), expected, atol=1e-2, rtol=1e-4)


def test_the_same_seed_repeats_exactly_whatever_else_runs(planner):
    stamp = planner.kept_image()
    goal = {"x": X, "y": Y, "samples": 3, "stamp": stamp}
    _, alone = planner.sample(POKE, seed=1, **goal)
    handles = [planner.send_goal(POKE, seed=seed, **goal) for seed in (1, 2, 1, 0, 0)]
    busy = planner.predict_async(POKE, stamp=stamp)
    results = [planner.result(handle)[1].motion.displacements for handle in handles]
    planner.wait_for(busy.done)
    assert results[0] == results[2] == alone.motion.displacements
    different = {tuple(values) for values in results}
    assert len(different) == 4  # another seed and two random ones


def test_no_points_is_the_grid_and_feedback_counts_all_samples(planner):
    planner.kept_image()
    handle = planner.send_goal(POKE, samples=2)
    status, result = planner.result(handle)
    assert status == SUCCEEDED
    assert (result.motion.grid_width, result.motion.grid_height) == (32, 24)
    assert displacements(result).shape == (2, 768, 2)
    assert np.isfinite(displacements(result)).all()
    done = [said.points_done for said in handle.feedback]
    assert done == sorted(set(done))
    assert done[-1] == 2 * 768
    assert {said.points_total for said in handle.feedback} == {2 * 768}


def test_cancel(planner):
    planner.kept_image()
    kept, canceled = (planner.send_goal(POKE, samples=300, seed=1) for _ in range(2))
    planner.wait_for(lambda: canceled.feedback, what="feedback")
    planner.wait_for(canceled.cancel_goal_async().done)
    status, result = planner.result(canceled, timeout=2)
    assert (status, result.error_code) == (CANCELED, ErrorCode.CANCELED)
    assert "canceled" in result.error_msg
    assert len(result.motion.x) == 0
    last = canceled.feedback[-1]
    assert 0 < last.points_done < last.points_total == 300 * 768
    # The other goal goes on; the canceled one has taken its last step.
    seen = len(kept.feedback)
    planner.wait_for(lambda: len(kept.feedback) > seen + 3)
    assert canceled.feedback[-1] is last
    planner.wait_for(kept.cancel_goal_async().done)
    assert planner.result(kept)[0] == CANCELED
    assert int(planner.diagnostics()["requests waiting"]) == 0


def test_goals_at_once_are_bounded(planner):
    planner.kept_image()
    handles = [planner.send_goal(POKE, samples=300) for _ in range(9)]
    status, result = planner.result(handles[-1], timeout=2)
    assert (status, result.error_code) == (ABORTED, ErrorCode.BUSY)
    assert "8 goals run already" in result.error_msg
    planner.wait_for(lambda: all(handle.feedback for handle in handles[:-1]))
    for handle in handles[:-1]:
        planner.wait_for(handle.cancel_goal_async().done)
        assert planner.result(handle)[0] == CANCELED


def test_feedback_comes_about_ten_times_a_second(planner):
    planner.kept_image()
    handle = planner.send_goal(POKE, samples=300, seed=1)
    planner.wait_for(lambda: handle.feedback)
    first = len(handle.feedback)
    with pytest.raises(AssertionError, match="waited"):
        planner.wait_for(lambda: False, timeout=1)
    assert 2 <= len(handle.feedback) - first <= 12
    planner.wait_for(handle.cancel_goal_async().done)


@pytest.mark.parametrize(
    ("goal", "code", "words"),
    [
        ({"samples": 0}, "INVALID_REQUEST", ["samples is 0", "at least 1"]),
        ({"x": [5.0, 96.0], "y": [1.0, 1.0]}, "INVALID_REQUEST", ["x[1] is 96.0", "95.5"]),
        ({"x": [5.0], "y": []}, "INVALID_REQUEST", ["x has 1", "y has 0"]),
        ({"x": [5.0], "y": [float("inf")]}, "INVALID_REQUEST", ["y[0] is inf", "finite"]),
        ({"pokes": [(1, 64, 0, 0)]}, "INVALID_REQUEST", ["pokes[0].y is 64.0", "63.5"]),
        ({"pokes": [POKE] * 129}, "TOO_LARGE", ["pokes has 129", "128"]),
        (
            {"samples": 2**32 - 1, "x": [1.0], "y": [1.0]},
            "TOO_LARGE",
            ["samples (4294967295) x points (1)", "262144", "16 x parameter max_queries"],
        ),
        ({"samples": 342}, "TOO_LARGE", ["samples (342) x points (768) is 262656", "262144"]),
        ({"x": [1.0] * 16385, "y": [1.0] * 16385}, "TOO_LARGE", ["16385", "16384", "max_queries"]),
        ({"stamp": Time(sec=3)}, "IMAGE_NOT_KEPT", ["stamp 3.0", "not kept"]),
    ],
)
def test_bad_goal_is_aborted_with_an_error(planner, goal, code, words):
    status, result = planner.sample(*goal.pop("pokes", [POKE]), **goal)
    assert (status, result.error_code) == (ABORTED, getattr(ErrorCode, code)), result.error_msg
    assert all(word in result.error_msg for word in words), result.error_msg
    assert len(result.motion.displacements) == 0
