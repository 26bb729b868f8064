# SPDX-License-Identifier: Apache-2.0
"""evaluate_pokes on a running node: what single predictions say, and errors for bad requests."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from builtin_interfaces.msg import Time
from fpt_ros.msg import ErrorCode, PokeArray
from fpt_ros.srv import EvaluatePokes
from ros_harness import FRAME, as_pokes

from fpt_ros.model import MotionMixture
from fpt_ros.ros.conversions import floats, motion_from_message

NAN, INFINITY = float("nan"), float("inf")
POKE = (40.0, 30.0, 12.0, -5.0)
CANDIDATES = [[POKE], [POKE, (5.0, 60.0, 0.0, -90.0)], [], [(90.0, 5.0, -200.0, 30.0)]]
X, Y = [5.0, 90.5, 41.0], [7.0, 60.25, 29.0]
GOAL_DX, GOAL_DY = [1.0, 0.0, 12.0], [0.0, 0.0, -5.0]


def evaluate(planner, candidates=CANDIDATES, x=X, y=Y, dx=GOAL_DX, dy=GOAL_DY, **fields):
    request = EvaluatePokes.Request(
        candidates=[PokeArray(pokes=as_pokes(pokes)) for pokes in candidates],
        x=floats(x),
        y=floats(y),
        goal_dx=floats(dx),
        goal_dy=floats(dy),
        **{"tolerance": 20.0, **fields},
    )
    return planner.call("fpt/evaluate_pokes", EvaluatePokes, request)


def mixture_of(motion):
    """The library's mixture for a received motion."""
    covariances = torch.from_numpy(motion.covariances.astype(float))
    return MotionMixture(
        torch.from_numpy(motion.weights.astype(float)).log(),
        torch.from_numpy(motion.means.astype(float)),
        torch.linalg.cholesky(covariances),
    )


@pytest.mark.parametrize("camera_moving", [False, True])
def test_every_number_is_that_of_a_single_prediction(planner, camera_moving):
    stamp = planner.kept_image()
    answer = evaluate(planner, stamp=stamp, camera_moving=camera_moving, return_motions=True)
    assert (answer.error_code, answer.error_msg) == (ErrorCode.NONE, "")
    goals = torch.tensor([GOAL_DX, GOAL_DY], dtype=torch.float64).T
    for i, pokes in enumerate(CANDIDATES):
        single = planner.predict(*pokes, x=X, y=Y, stamp=stamp, camera_moving=camera_moving).motion
        motion, received = (motion_from_message(m) for m in (single, answer.motions[i]))
        mixture = mixture_of(motion)
        for name, values in (
            ("log_likelihood", mixture.log_prob(goals)),
            ("probability", mixture.probability_within(goals, 20.0)),
            ("expected_error", mixture.expected_distance(goals)),
        ):
            row = np.asarray(getattr(answer, name)).reshape(len(CANDIDATES), len(X))[i]
            np.testing.assert_allclose(row, values, rtol=1e-6, err_msg=name)
        for name in ("weights", "means", "covariances", "points", "pokes"):
            ours, theirs = getattr(received, name), getattr(motion, name)
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5, err_msg=name)
        assert (received.camera_moving, received.grid) == (camera_moving, (0, 0))
        assert (received.image_size, received.horizon) == ((96, 64), 0.5)
        assert answer.motions[i].header.stamp == stamp
        assert answer.motions[i].header.frame_id == FRAME
    probability = np.asarray(answer.probability).reshape(len(CANDIDATES), len(X))
    assert answer.best == np.argmax(probability.mean(1))
    assert np.ptp(probability.mean(1)) > 1e-5  # more than the tolerance above


def test_equal_probabilities_are_told_apart_by_the_error(planner):
    """A goal that no candidate reaches: all probabilities are zero."""
    planner.kept_image()
    answer = evaluate(planner, dx=[3000.0] * 3, dy=[0.0] * 3, tolerance=1.0)
    assert not np.any(answer.probability)
    error = np.asarray(answer.expected_error).reshape(len(CANDIDATES), len(X)).mean(1)
    assert answer.best == np.argmin(error)
    assert len(answer.motions) == 0


def test_many_candidates_and_points_are_answered_in_blocks(planner):
    stamp = planner.kept_image()
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 63, (1100, 2)).astype(np.float32)
    candidates = [rng.uniform(0, 60, (1 + i % 3, 4)) for i in range(40)]
    zeros = np.zeros(1100)
    answer = evaluate(planner, candidates, *points.T, zeros, zeros, stamp=stamp)
    assert answer.error_code == ErrorCode.NONE, answer.error_msg
    for i in (0, 20, 39):
        single = planner.predict(*candidates[i], x=points[:, 0], y=points[:, 1], stamp=stamp)
        mixture = mixture_of(motion_from_message(single.motion))
        row = np.asarray(answer.expected_error).reshape(40, 1100)[i]
        np.testing.assert_allclose(row, mixture.expected_distance(torch.zeros(2)), rtol=1e-6)


@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        ({"candidates": []}, "INVALID_REQUEST", ["candidates is empty", "at least 1"]),
        ({"x": [], "y": []}, "INVALID_REQUEST", ["x is empty", "at least 1"]),
        ({"x": [1.0, 2.0]}, "INVALID_REQUEST", ["x has 2", "y has 3"]),
        ({"dx": [1.0]}, "INVALID_REQUEST", ["goal_dx has 1", "3"]),
        ({"dy": [1.0] * 4}, "INVALID_REQUEST", ["goal_dy has 4", "3"]),
        ({"dy": [0.0, NAN, 0.0]}, "INVALID_REQUEST", ["goal_dy[1]", "nan", "finite"]),
        ({"dx": [0.0, 0.0, -INFINITY]}, "INVALID_REQUEST", ["goal_dx[2]", "-inf", "finite"]),
        ({"tolerance": 0.0}, "INVALID_REQUEST", ["tolerance is 0.0", "above 0"]),
        ({"tolerance": -1.0}, "INVALID_REQUEST", ["tolerance is -1.0", "above 0"]),
        ({"tolerance": NAN}, "INVALID_REQUEST", ["tolerance is nan", "finite"]),
        ({"x": [5.0, 5.0, 96.0]}, "INVALID_REQUEST", ["x[2] is 96.0", "95.5"]),
        (
            {"candidates": [[POKE], [POKE, (1, -2, 0, 0)]]},
            "INVALID_REQUEST",
            ["candidates[1].pokes[1].y is -2.0", "63.5"],
        ),
        (
            {"candidates": [[POKE], [(1, 2, NAN, 0)]]},
            "INVALID_REQUEST",
            ["candidates[1].pokes[0].dx is nan", "finite"],
        ),
        ({"candidates": [[POKE] * 129]}, "TOO_LARGE", ["candidates[0].pokes has 129", "128"]),
        ({"candidates": [[]] * 257}, "TOO_LARGE", ["257", "256", "max_candidates"]),
        ({"x": [1] * 16385, "y": [1] * 16385}, "TOO_LARGE", ["16385", "16384", "max_queries"]),
        ({"stamp": Time(sec=3)}, "IMAGE_NOT_KEPT", ["stamp 3.0", "not kept"]),
    ],
)
def test_bad_request_is_answered_with_an_error(planner, request_, code, words):
    answer = evaluate(planner, **request_)
    assert answer.error_code == getattr(ErrorCode, code), answer.error_msg
    assert all(word in answer.error_msg for word in words), answer.error_msg
    assert answer.best == -1
    assert len(answer.probability) == 0


def test_motions_are_bounded(planner):
    """What does not fit a message of reasonable size is refused, and answered without motions."""
    x = np.full(1100, 5.0)
    request = {"candidates": [[POKE]] * 256, "x": x, "y": x, "dx": x, "dy": x}
    answer = evaluate(planner, return_motions=True, **request)
    assert answer.error_code == ErrorCode.TOO_LARGE
    assert all(word in answer.error_msg for word in ("256", "1100", "262144", "max_queries"))
