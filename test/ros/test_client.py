# SPDX-License-Identifier: Apache-2.0
"""MotionClient's answers are the library's; bad questions are refused."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import rclpy
from builtin_interfaces.msg import Time
from fpt_ros.msg import ErrorCode
from fpt_ros.srv import SegmentMotion
from ros_harness import FRAME, scene
from sensor_msgs.msg import Image

from fpt_ros.client import MotionClient, MotionError
from fpt_ros.client.results import read_segmentation
from fpt_ros.inference.predictor import Predictor
from fpt_ros.inference.view import grid_points

NAN = float("nan")
POKE = (40.0, 30.0, 12.0, -5.0)
POINTS = np.array([[5.0, 7.0], [90.5, 60.25], [41.0, 29.0]])
GOALS = np.array([[1.0, 0.0], [0.0, 0.0], [12.0, -5.0]])


@pytest.fixture(scope="module")
def predictor(tiny_checkpoint):
    return Predictor.from_checkpoint(str(tiny_checkpoint), device="cpu")


@pytest.fixture(scope="module")
def shared_client():
    context = rclpy.Context()
    rclpy.init(context=context, args=[])
    with MotionClient(name="/shared/fpt", context=context) as client:
        yield client
    context.try_shutdown()


@pytest.fixture
def client(planner, shared_client):
    """A client of the shared node, which has the picture `scene()`."""
    return shared_client


def assert_same(motion, mixture):
    np.testing.assert_allclose(motion.weights, mixture.weights, atol=1e-5)
    np.testing.assert_allclose(motion.means, mixture.locs, atol=1e-3, rtol=1e-4)
    np.testing.assert_allclose(motion.covariances, mixture.covariances, atol=1e-2, rtol=1e-3)


@pytest.mark.parametrize("camera_moving", [False, True])
def test_prediction(client, predictor, camera_moving):
    motion = client.predict([POKE, POKE], POINTS, camera_moving=camera_moving)
    expected = predictor.predict(predictor.embed(scene()), [POKE, POKE], POINTS, camera_moving)
    assert_same(motion, expected)
    np.testing.assert_allclose(motion.mean, expected.mean, atol=1e-3, rtol=1e-4)
    np.testing.assert_array_equal(motion.points, POINTS)
    assert motion.header.frame_id == FRAME
    assert motion.camera_moving == camera_moving


def test_prediction_on_the_grid_without_pokes(client, predictor):
    motion = client.predict([])
    points = grid_points(96, 64, 32, 24)
    assert_same(motion, predictor.predict(predictor.embed(scene()), np.zeros((0, 4)), points))
    assert motion.flow.shape == (24, 32, 2)


def test_earlier_image_by_the_stamp_of_its_answer(client, planner, predictor):
    first = client.predict([POKE], POINTS)
    planner.kept_image(scene()[::-1])
    again = client.predict([POKE], POINTS, stamp=first.header.stamp)
    newest = client.predict([POKE], POINTS)
    np.testing.assert_array_equal(again.means, first.means)
    assert not np.array_equal(newest.means, first.means)


def test_evaluation(client, predictor):
    candidates = [[POKE], [POKE, (5.0, 60.0, 0.0, -9.0)], [], np.array([[90.0, 5.0, -20.0, 3.0]])]
    answer = client.evaluate(candidates, POINTS, GOALS, 20.0, return_motions=True)
    expected = predictor.evaluate(predictor.embed(scene()), candidates, POINTS, GOALS, 20.0)
    for name in ("log_likelihood", "probability", "expected_error"):
        values = getattr(answer, name)
        assert values.shape == (4, 3)
        np.testing.assert_allclose(values, getattr(expected, name), rtol=1e-3, atol=1e-4)
    assert answer.best == expected.best
    for motion, mixture in zip(answer.motions, expected.motions, strict=True):
        assert_same(motion, mixture)


def test_rows_are_candidates_of_one_poke_each(client):
    rows = [POKE, (5.0, 60.0, 0.0, -9.0)]
    answer = client.evaluate(np.array(rows), POINTS, GOALS, 20.0)
    separate = client.evaluate([[row] for row in rows], POINTS, GOALS, 20.0)
    np.testing.assert_array_equal(answer.probability, separate.probability)
    assert answer.motions == []


def test_segmentation(client, predictor):
    answer = client.segment([POKE])
    expected = predictor.segment(predictor.embed(scene()), [POKE])
    assert answer.divergence.dtype == np.float32 and answer.mask.dtype == bool
    np.testing.assert_allclose(answer.divergence, expected.divergence, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(answer.mask, expected.moves)
    assert answer.header.frame_id == FRAME


def test_mask_of_a_response_is_true_where_it_moves():
    mask = Image(height=2, width=3, step=4, data=[255, 0, 0, 9, 0, 255, 255, 9])  # padded rows
    divergence = Image(height=2, width=3, step=12, data=np.arange(6, dtype=np.float32).tobytes())
    found = read_segmentation(SegmentMotion.Response(mask=mask, divergence=divergence))
    np.testing.assert_array_equal(found.mask, [[True, False, False], [False, True, True]])
    np.testing.assert_array_equal(found.divergence, [[0, 1, 2], [3, 4, 5]])


def test_samples(client, predictor):
    told = []
    answer = client.sample(
        [POKE], POINTS, 5, seed=3, progress=lambda done, total: told.append((done, total))
    )
    expected = predictor.sample(predictor.embed(scene()), [POKE], POINTS, 5, 3)
    np.testing.assert_allclose(answer.displacements, expected, atol=1e-2, rtol=1e-4)
    np.testing.assert_array_equal(answer.points, POINTS)
    assert (answer.grid, answer.header.frame_id) == ((0, 0), FRAME)
    assert told == sorted(told) and {total for _, total in told} == {15}
    other = client.sample([POKE], POINTS, 5)  # of a random seed
    assert not np.array_equal(other.displacements, answer.displacements)
    assert client.sample([]).displacements.shape == (1, 768, 2)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda c: c.predict([[1, 2, 3]]), ["pokes", "(1, 3)", "(x, y, dx, dy)"]),
        (lambda c: c.predict(POKE), ["pokes", "(4,)"]),
        (lambda c: c.predict([(1, 2, NAN, 4)]), ["pokes[0]", "dx", "nan"]),
        (lambda c: c.predict([(1, 1e300, 0, 0)]), ["pokes[0]", "y", "inf"]),
        (lambda c: c.predict("left"), ["pokes", "left"]),
        (lambda c: c.predict([POKE], []), ["points", "None"]),
        (lambda c: c.predict([POKE], [[1, 2, 3]]), ["points", "(1, 3)", "(x, y)"]),
        (lambda c: c.predict([POKE], [[1, NAN]]), ["points[0]", "y", "nan"]),
        (lambda c: c.predict([POKE], stamp=3.5), ["stamp", "float", "Time"]),
        (lambda c: c.predict([POKE], timeout=0), ["timeout", "0"]),
        (lambda c: c.evaluate([], POINTS, GOALS, 9), ["candidates", "empty"]),
        (lambda c: c.evaluate([[POKE], [[1, 2]]], POINTS, GOALS, 9), ["candidates[1]", "(1, 2)"]),
        (lambda c: c.evaluate([POKE], [], [], 9), ["points", "empty"]),
        (lambda c: c.evaluate([POKE], POINTS, GOALS[:2], 9), ["goals", "2", "3"]),
        (lambda c: c.evaluate([POKE], POINTS, GOALS * NAN, 9), ["goals[0]", "dx", "nan"]),
        (lambda c: c.evaluate([POKE], POINTS, GOALS, 0), ["tolerance", "0"]),
        (lambda c: c.segment([]), ["pokes", "empty"]),
        (lambda c: c.sample([POKE], POINTS, samples=0), ["samples", "0"]),
        (lambda c: c.sample([POKE], POINTS, seed=2**63), ["seed", str(2**63)]),
        (lambda c: c.hold(seconds=-1), ["seconds", "-1"]),
    ],
)
def test_argument_that_cannot_be_meant(shared_client, ask, words):
    with pytest.raises(ValueError) as error:
        ask(shared_client)
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize(
    ("ask", "code", "words"),
    [
        (lambda c: c.predict([(96, 5, 0, 0)]), "INVALID_REQUEST", ["pokes[0].x", "95.5"]),
        (lambda c: c.predict([POKE] * 129), "TOO_LARGE", ["129"]),
        (lambda c: c.predict([POKE], stamp=Time(sec=3)), "IMAGE_NOT_KEPT", ["3.0"]),
        (
            lambda c: c.evaluate([POKE, (1, 70, 0, 0)], POINTS, GOALS, 9),
            "INVALID_REQUEST",
            ["candidates[1]", "70"],
        ),
        (lambda c: c.segment([(96, 5, 0, 0)]), "INVALID_REQUEST", ["pokes[0].x"]),
        (lambda c: c.sample([(96, 5, 0, 0)]), "INVALID_REQUEST", ["pokes[0].x"]),
        (lambda c: c.evaluate([POKE] * 257, POINTS, GOALS, 9), "TOO_LARGE", ["257", "256"]),
    ],
)
def test_error_of_the_node(client, ask, code, words):
    with pytest.raises(MotionError) as error:
        ask(client)
    assert error.value.code == getattr(ErrorCode, code)
    assert all(word in error.value.message for word in words), error.value


def test_hold_gives_the_image_and_keeps_it(client, planner, predictor):
    header = client.hold()
    assert header.frame_id == FRAME
    for _ in range(4):  # more than image_cache, all of them asked about
        planner.kept_image(scene()[::-1])
    motion = client.predict([POKE], POINTS, stamp=header.stamp)
    assert_same(motion, predictor.predict(predictor.embed(scene()), [POKE], POINTS))
    assert client.hold(header.stamp, seconds=0) == header
    with pytest.raises(MotionError, match="600"):
        client.hold(seconds=601)


@pytest.mark.parametrize("seed", [None, 0])
def test_seed_0_draws_anew(client, seed):
    first, second = (client.sample([POKE], POINTS, seed=seed).displacements for _ in range(2))
    assert not np.array_equal(first, second)
    again, other = (client.sample([POKE], POINTS, seed=-4).displacements for _ in range(2))
    np.testing.assert_array_equal(again, other)


def test_node_of_the_client_stays_hidden_in_a_process_that_renames_its_nodes():
    context = rclpy.Context()
    rclpy.init(context=context, args=["--ros-args", "-r", "__node:=planner"])
    with MotionClient(context=context) as client:
        assert client._connection._caller.node.get_name().startswith("_")
    context.try_shutdown()


def test_client_needs_no_pytorch():
    code = "import sys, fpt_ros.client; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
