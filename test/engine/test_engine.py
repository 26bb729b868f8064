# SPDX-License-Identifier: Apache-2.0
"""Questions about kept images: right answers, in steps, and an error for each that cannot be."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from engine_harness import frame, scene

from fpt_ros.engine.engine import NO_POINTS, NO_POKES
from fpt_ros.engine.errors import ErrorCode, RequestError
from fpt_ros.engine.frames import NEWEST, Frame
from fpt_ros.images import ImageError
from fpt_ros.inference.steps import finish
from fpt_ros.inference.view import grid_points

POKES = np.array([[40, 30, 12, -5]], np.float32)
POINTS = np.array([[5, 7], [90.5, 60.25], [0, 63]], np.float32)
GOALS = np.array([[1, 0], [0, 0], [12, -5]], np.float32)


@pytest.fixture
def context(predictor):
    return predictor.embed(scene())


def assert_same(motion, mixture):
    np.testing.assert_allclose(motion.weights, mixture.weights, atol=1e-6)
    np.testing.assert_allclose(motion.means, mixture.locs, atol=1e-4)
    np.testing.assert_allclose(motion.covariances, mixture.covariances, atol=1e-3, rtol=1e-5)


@pytest.mark.parametrize("camera_moving", [False, True])
def test_prediction_is_the_librarys(engine, predictor, context, camera_moving):
    engine.frames.add(frame(5))
    motion = finish(engine.predict((5, 0), POKES, POINTS, camera_moving))
    assert_same(motion, predictor.predict(context, POKES, POINTS, camera_moving))
    assert (motion.header, motion.image_size, motion.grid) == ("header 5", (96, 64), (0, 0))
    assert (motion.camera_moving, motion.horizon) == (camera_moving, 0.5)


def test_no_points_is_the_grid_of_the_settings(engine, predictor, context):
    engine.apply(dataclasses.replace(engine.settings, grid=(5, 3), horizon=2.0))
    engine.frames.add(frame(5))
    motion = finish(engine.predict(NEWEST, POKES, NO_POINTS, False))
    assert (motion.grid, motion.horizon) == ((5, 3), 2.0)
    assert_same(motion, predictor.predict(context, POKES, grid_points(96, 64, 5, 3)))


def test_features_are_computed_once_and_again_when_forgotten(engine):
    engine.frames.add(frame(5))
    for _ in range(3):
        finish(engine.predict(NEWEST, POKES, POINTS, False))
    assert engine.statistics.total("embedded") == 1
    engine.frames.forget_features()
    finish(engine.predict(NEWEST, POKES, POINTS, False))
    assert engine.statistics.total("embedded") == 2


def test_many_points_come_in_steps(engine, predictor, context):
    engine.apply(dataclasses.replace(engine.settings, max_queries=5000))
    engine.frames.add(frame(5))
    points = np.random.default_rng(0).uniform(0, 63, (3000, 2)).astype(np.float32)
    steps = engine.predict(NEWEST, POKES, points, False)
    taken = 0
    while True:
        try:
            next(steps)
            taken += 1
        except StopIteration as end:
            motion = end.value
            break
    assert taken == 4  # the features, then 1024 points each
    assert_same(motion, predictor.predict(context, POKES, points))


def test_evaluation_is_the_librarys(engine, predictor, context):
    engine.frames.add(frame(5))
    candidates = [POKES, NO_POKES, np.repeat(POKES, 2, 0)]
    question = (NEWEST, candidates, POINTS, GOALS, 20.0, False)
    evaluation, motions = finish(engine.evaluate(*question, return_motions=True))
    expected = predictor.evaluate(context, candidates, POINTS, GOALS, 20.0)
    for name in ("log_likelihood", "probability", "expected_error"):
        values, right = getattr(evaluation, name), getattr(expected, name)
        np.testing.assert_allclose(values, right, rtol=1e-4, atol=1e-5)
    for motion, mixture in zip(motions, expected.motions, strict=True):
        assert_same(motion, mixture)
    assert finish(engine.evaluate(*question, return_motions=False))[1] == []


def test_segmentation_is_the_librarys_on_at_most_max_queries_points(engine, predictor, context):
    engine.apply(dataclasses.replace(engine.settings, max_queries=99))
    engine.frames.add(frame(5))
    part, of = finish(engine.segment(NEWEST, POKES, False))
    expected = predictor.segment(context, POKES, max_points=99)
    np.testing.assert_allclose(part.divergence, expected.divergence, rtol=1e-4, atol=1e-5)
    assert of.stamp == (5, 0)


def test_samples_are_the_librarys_and_their_number_is_reported(engine, predictor, context):
    engine.frames.add(frame(5))
    told = []
    samples = finish(
        engine.sample(NEWEST, POKES, POINTS, 4, 7, False, lambda *done: told.append(done))
    )
    expected = predictor.sample(context, POKES, POINTS, 4, 7)
    np.testing.assert_allclose(samples.displacements, expected, atol=1e-4)
    assert told == [(4, 12), (8, 12), (12, 12)]
    anew = [
        finish(engine.sample(NEWEST, POKES, POINTS, 4, None, False, lambda *_: None))
        for _ in range(2)
    ]
    assert not np.array_equal(anew[0].displacements, anew[1].displacements)


def refused(steps):
    with pytest.raises(RequestError) as error:
        finish(steps)
    return error.value.code, str(error.value)


def poke(x, y, dx, dy):
    return np.array([[x, y, dx, dy]], np.float32)


LONG = "at most 384 pixels long (4 times the image's longer side)"


@pytest.mark.parametrize(
    ("ask", "code", "words"),
    [
        (lambda e: e.predict((3, 0), POKES, POINTS, False), "IMAGE_NOT_KEPT", "3.000000000"),
        (lambda e: e.predict(NEWEST, poke(96, 5, 0, 0), POINTS, False), "", "pokes[0].x is 96.0"),
        (lambda e: e.predict(NEWEST, poke(5, 5, 300, 300), POINTS, False), "", LONG),
        (lambda e: e.predict(NEWEST, poke(5, 5, 3e38, 3e38), POINTS, False), "", LONG),
        (lambda e: e.predict(NEWEST, POKES, POINTS + 8, False), "", "x[1] is 98.5"),
        (
            lambda e: e.evaluate(NEWEST, [POKES, poke(5, -1, 0, 0)], POINTS, GOALS, 1, False, True),
            "",
            "candidates[1].pokes[0].y is -1.0",
        ),
        (
            lambda e: e.evaluate(NEWEST, [POKES], POINTS, GOALS, 0.0, False, True),
            "",
            "tolerance is 0.0",
        ),
        (
            lambda e: e.evaluate(NEWEST, [POKES] * 6000, POINTS, GOALS, 1.0, False, True),
            "TOO_LARGE",
            "candidates (6000) x points (3) is 18000: at most 16000",
        ),
        (lambda e: e.segment(NEWEST, NO_POKES, False), "", "pokes is empty"),
        (lambda e: e.sample(NEWEST, POKES, POINTS, 0, 1, False, print), "", "samples is 0"),
        (
            lambda e: e.sample(NEWEST, POKES, POINTS, 2**32 - 1, 1, False, print),
            "TOO_LARGE",
            "16 x parameter max_queries",
        ),
    ],
)
def test_question_that_cannot_be_answered(engine, ask, code, words):
    engine.frames.add(frame(5))
    found, message = refused(ask(engine))
    assert found == getattr(ErrorCode, code or "INVALID_REQUEST")
    assert words in message


def test_no_image(engine):
    assert refused(engine.predict(NEWEST, POKES, POINTS, False))[0] == ErrorCode.NO_IMAGE


def test_an_image_that_cannot_be_decoded_is_let_go(engine):
    def decode():
        raise ImageError("data cannot be decoded")

    engine.frames.add(frame(4))
    engine.frames.add(Frame("header", (5, 0), decode))
    code, message = refused(engine.predict(NEWEST, POKES, POINTS, False))
    assert code == ErrorCode.PREDICTION_FAILED
    assert "image 5.000000000: data cannot be decoded" in message
    assert finish(engine.predict(NEWEST, POKES, POINTS, False)).header == "header 4"


def test_max_image_age(engine, clock):
    engine.frames.add(frame(990))
    finish(engine.predict(NEWEST, POKES, POINTS, False))  # no limit by default
    engine.apply(dataclasses.replace(engine.settings, max_image_age=10.5))
    finish(engine.predict(NEWEST, POKES, POINTS, False))
    clock.now = 1001.0
    for stamp in (NEWEST, (990, 0)):
        code, message = refused(engine.predict(stamp, POKES, POINTS, False))
        assert code == ErrorCode.NO_IMAGE
        assert "image 990.000000000 is 11.000 s old" in message and "10.5" in message
    with pytest.raises(RequestError):
        engine.hold(NEWEST, 0.0)
    engine.frames.add(frame(1001))
    finish(engine.predict(NEWEST, POKES, POINTS, False))


def test_a_success_ends_the_last_fault(engine):
    engine.frames.add(frame(5))
    engine.statistics.failed("out of memory")
    finish(engine.predict(NEWEST, POKES, POINTS, False))
    assert engine.statistics.fault == ""
