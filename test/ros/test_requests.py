# SPDX-License-Identifier: Apache-2.0
"""predict_motion on a running node: right answers, and an error for each kind of bad request."""

from __future__ import annotations

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from fpt_ros.msg import ErrorCode
from ros_harness import FRAME, scene

from fpt_ros.inference.predictor import Predictor
from fpt_ros.inference.view import grid_points
from fpt_ros.ros.conversions import motion_from_message

NAN, INFINITY = float("nan"), float("inf")
POKE = (40.0, 30.0, 12.0, -5.0)


@pytest.fixture(scope="module")
def predictor(tiny_checkpoint):
    return Predictor.from_checkpoint(str(tiny_checkpoint), device="cpu")


def assert_same(motion, mixture):
    np.testing.assert_allclose(motion.weights, mixture.weights, atol=1e-5)
    np.testing.assert_allclose(motion.means, mixture.locs, atol=1e-3, rtol=1e-4)
    np.testing.assert_allclose(motion.covariances, mixture.covariances, atol=1e-2, rtol=1e-3)


@pytest.mark.parametrize("camera_moving", [False, True])
def test_answer_is_the_librarys(planner, predictor, camera_moving):
    stamp = planner.kept_image()
    x, y = [5.0, 90.5, 0.0], [7.0, 60.25, 63.0]
    answer = planner.predict(POKE, POKE, x=x, y=y, stamp=stamp, camera_moving=camera_moving)
    assert (answer.error_code, answer.error_msg) == (ErrorCode.NONE, "")
    assert answer.motion.header.stamp == stamp
    assert answer.motion.header.frame_id == FRAME
    motion = motion_from_message(answer.motion)
    context = predictor.embed(scene())
    points = np.array([x, y]).T
    assert_same(motion, predictor.predict(context, [POKE, POKE], points, camera_moving))
    np.testing.assert_array_equal(motion.points, points)
    np.testing.assert_array_equal(motion.pokes, np.array([POKE, POKE], np.float32))
    assert (motion.image_size, motion.grid) == ((96, 64), (0, 0))
    assert (motion.camera_moving, motion.horizon) == (camera_moving, 0.5)


def test_no_points_is_the_grid(planner, predictor):
    planner.kept_image()
    motion = motion_from_message(planner.predict(POKE).motion)
    assert motion.grid == (32, 24)
    points = grid_points(96, 64, 32, 24)
    np.testing.assert_array_equal(motion.points, points)
    assert_same(motion, predictor.predict(predictor.embed(scene()), [POKE], points))


def test_no_pokes_is_what_moves_by_itself(planner, predictor):
    planner.kept_image()
    motion = motion_from_message(planner.predict(x=[5], y=[6]).motion)
    empty = np.zeros((0, 4))
    assert_same(motion, predictor.predict(predictor.embed(scene()), empty, [[5, 6]]))


def test_zero_stamp_is_the_newest_image(planner):
    planner.kept_image()
    newest = planner.kept_image(scene()[::-1])
    assert planner.predict(POKE, x=[1], y=[1]).motion.header.stamp == newest


def test_earlier_images_answer_by_their_stamp(planner):
    pictures = (scene(), scene()[::-1], scene()[:, ::-1])
    stamps = [planner.kept_image(picture) for picture in pictures]
    answers = [planner.predict(POKE, x=[9], y=[9], stamp=stamp).motion for stamp in stamps]
    assert [answer.header.stamp for answer in answers] == stamps
    assert answers[0].means != answers[1].means


def test_many_points_are_answered_in_chunks(planner, predictor):
    planner.kept_image()
    points = np.random.default_rng(0).uniform(0, 63, (3000, 2)).astype(np.float32)
    answer = planner.predict(POKE, x=points[:, 0], y=points[:, 1])
    assert_same(
        motion_from_message(answer.motion),
        predictor.predict(predictor.embed(scene()), [POKE], points),
    )


def test_features_are_computed_once(planner):
    stamp = planner.kept_image()
    planner.predict(POKE, x=[1], y=[1], stamp=stamp)
    before = planner.diagnostics()
    for _ in range(5):
        planner.predict(POKE, x=[1], y=[1], stamp=stamp)
    after = planner.diagnostics()
    assert after["images embedded"] == before["images embedded"]
    assert int(after["requests"]) == int(before["requests"]) + 5
    kind = "predict_motion requests, p50 / p95 [ms]"
    assert int(after[kind].split(",")[0]) == int(before[kind].split(",")[0]) + 5


@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        ({"pokes": [(96, 5, 0, 0)]}, "INVALID_REQUEST", ["pokes[0].x", "96", "-0.5", "95.5"]),
        ({"pokes": [POKE, (5, -1, 0, 0)]}, "INVALID_REQUEST", ["pokes[1].y", "-1", "63.5"]),
        ({"pokes": [(NAN, 5, 0, 0)]}, "INVALID_REQUEST", ["pokes[0].x", "nan", "finite"]),
        ({"pokes": [(5, 5, 0, INFINITY)]}, "INVALID_REQUEST", ["pokes[0].dy", "inf", "finite"]),
        ({"pokes": [POKE] * 129}, "TOO_LARGE", ["pokes", "129", "128"]),
        ({"x": [3, 200], "y": [3, 3]}, "INVALID_REQUEST", ["x[1]", "200", "95.5"]),
        ({"x": [3], "y": [64]}, "INVALID_REQUEST", ["y[0]", "64", "63.5"]),
        ({"x": [3], "y": [NAN]}, "INVALID_REQUEST", ["y[0]", "nan", "finite"]),
        ({"x": [INFINITY], "y": [3]}, "INVALID_REQUEST", ["x[0]", "inf", "finite"]),
        ({"x": [1, 2, 3], "y": [1, 2]}, "INVALID_REQUEST", ["x has 3", "y has 2"]),
        ({"x": [1], "y": []}, "INVALID_REQUEST", ["x has 1", "y has 0"]),
        ({"x": [1] * 16385, "y": [1] * 16385}, "TOO_LARGE", ["16385", "16384", "max_queries"]),
        ({"stamp": Time(sec=3)}, "IMAGE_NOT_KEPT", ["stamp 3.0", "not kept", "image_cache"]),
    ],
)
def test_bad_request_is_answered_with_an_error(planner, request_, code, words):
    pokes = request_.pop("pokes", [POKE])
    answer = planner.predict(*pokes, **request_)
    assert answer.error_code == getattr(ErrorCode, code), answer.error_msg
    assert all(word in answer.error_msg for word in words), answer.error_msg
    assert len(answer.motion.x) == 0


def test_stamp_that_is_no_longer_kept(planner):
    first = planner.kept_image()
    assert planner.predict(POKE, x=[1], y=[1], stamp=first).error_code == ErrorCode.NONE
    later = [planner.kept_image() for _ in range(3)]  # as many as image_cache
    answer = planner.predict(POKE, x=[1], y=[1], stamp=first)
    assert answer.error_code == ErrorCode.IMAGE_NOT_KEPT
    assert f"{later[0].sec}.000000500 to {later[-1].sec}.000000500" in answer.error_msg
