# SPDX-License-Identifier: Apache-2.0
"""MotionClient asked inside callbacks, coroutines and many threads at once."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
import rclpy
from fpt_ros.msg import QueryPoints
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import MultiThreadedExecutor, SingleThreadedExecutor
from std_srvs.srv import Trigger

from fpt_ros.client import MotionClient

POKE = (40.0, 30.0, 12.0, -5.0)
POINTS = [[5.0, 7.0], [90.5, 60.25]]
SOON = 10.0  # far beyond what a machine under load needs


@pytest.fixture(scope="module")
def context():
    context = rclpy.Context()
    rclpy.init(context=context, args=[])
    yield context
    context.try_shutdown()


@pytest.fixture
def node(context):
    node = rclpy.create_node("planner", namespace="shared", context=context)
    yield node
    node.destroy_node()


@pytest.fixture
def client(planner, node):
    with MotionClient(node, timeout=SOON) as client:
        yield client


@contextmanager
def spinning(node, kind):
    """The node in an executor of this kind, which spins in a thread."""
    executor = kind(context=node.context)
    executor.add_node(node)
    stop = threading.Event()

    def spin():
        while not stop.is_set():
            executor.spin_once()

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    yield executor
    stop.set()
    executor.create_task(lambda: None)
    thread.join(5)
    executor.shutdown()
    assert not thread.is_alive()


class Outcome:
    """What a callback came to, the first time it was called."""

    def __init__(self):
        self._event = threading.Event()
        self._begun = False
        self.value = None

    def of(self, function):
        if self._begun:
            return
        self._begun = True
        try:
            self.value = function()
        except Exception as error:
            self.value = error
        self._event.set()

    def wait(self):
        assert self._event.wait(2 * SOON), "the callback did not come to an end"
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


@pytest.mark.parametrize("kind", [SingleThreadedExecutor, MultiThreadedExecutor])
@pytest.mark.parametrize("callback", ["timer", "subscription", "service"])
def test_blocking_in_a_callback(client, node, planner, kind, callback):
    outcome = Outcome()
    topic = f"asked_{kind.__name__}"  # the planner waits for its first listener only

    def ask(*arguments):
        outcome.of(lambda: client.predict([POKE], POINTS))
        return arguments[-1] if arguments else None

    if callback == "timer":
        node.create_timer(0.01, ask)
    elif callback == "subscription":
        node.create_subscription(QueryPoints, topic, ask, 1)
    else:
        node.create_service(Trigger, "ask", ask)
    with spinning(node, kind):
        if callback == "subscription":
            planner.publish(topic, QueryPoints())
        elif callback == "service":
            planner.call("ask", Trigger, Trigger.Request())
        motion = outcome.wait()
    np.testing.assert_array_equal(motion.means, client.predict([POKE], POINTS).means)


def test_blocking_in_all_threads_of_an_executor(client, node):
    outcomes = [Outcome() for _ in range(6)]
    group = ReentrantCallbackGroup()
    for outcome in outcomes:
        node.create_timer(
            0.01,
            lambda outcome=outcome: outcome.of(lambda: client.predict([POKE], POINTS)),
            callback_group=group,
        )
    with spinning(node, lambda context: MultiThreadedExecutor(2, context=context)):
        answers = [outcome.wait() for outcome in outcomes]
    assert len({answer.means.tobytes() for answer in answers}) == 1


@pytest.mark.parametrize("kind", [SingleThreadedExecutor, MultiThreadedExecutor])
def test_awaited_in_a_coroutine(client, node, kind):
    """Nothing else happens in the executor: the answer itself must wake it."""

    async def ask():
        start = time.monotonic()
        motion = await client.predict_async([POKE], POINTS)
        evaluation = await client.evaluate_async([POKE, POKE], POINTS, POINTS, 5.0)
        return motion, evaluation, time.monotonic() - start

    with spinning(node, kind) as executor:
        ended = threading.Event()
        task = executor.create_task(ask)
        task.add_done_callback(lambda _: ended.set())
        assert ended.wait(2 * SOON)
    motion, evaluation, seconds = task.result()
    assert motion.mean.shape == (2, 2)
    assert evaluation.probability.shape == (2, 2)
    assert seconds < SOON


def test_error_reaches_the_coroutine(client, node):
    async def ask():
        try:
            await client.predict_async([POKE], [[500.0, 0.0]])
        except RuntimeError as error:
            return str(error)

    with spinning(node, SingleThreadedExecutor) as executor:
        ended = threading.Event()
        task = executor.create_task(ask)
        task.add_done_callback(lambda _: ended.set())
        assert ended.wait(2 * SOON)
    assert "500" in task.result()


def test_awaited_under_asyncio(client):
    async def ask():
        futures = [client.predict_async([POKE], [[x, 5.0]]) for x in (1.0, 2.0)]
        return await asyncio.gather(*map(asyncio.wrap_future, futures))

    first, second = asyncio.run(ask())
    assert (first.points[0, 0], second.points[0, 0]) == (1.0, 2.0)


def test_await_without_an_executor_says_what_is_missing(client):
    with pytest.raises(RuntimeError, match=r"MotionClient\(node\)"):
        client.predict_async([POKE], POINTS).__await__().send(None)


def test_waiting_in_the_client_s_own_thread_is_refused(client):
    outcome = Outcome()
    future = client.predict_async([POKE], POINTS)
    future.add_done_callback(lambda _: outcome.of(lambda: client.predict([POKE], POINTS)))
    with pytest.raises(RuntimeError, match="_async"):
        outcome.wait()
    assert client.predict([POKE], POINTS).mean.shape == (2, 2)  # it goes on


def test_many_threads_share_a_client(client):
    """Each gets the answer to its own question."""
    xs = np.linspace(1, 90, 48, dtype=np.float32)
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda x: client.predict([POKE], [[x, 20]]), xs))
    np.testing.assert_array_equal([answer.points[0, 0] for answer in answers], xs)
    together = client.predict([POKE], [[x, 20] for x in xs])
    np.testing.assert_allclose([a.mean[0] for a in answers], together.mean, atol=1e-3, rtol=1e-4)


def test_names_are_resolved_as_in_the_user_s_node(planner, context):
    arguments = ["--ros-args", "-r", "brain/predict_motion:=fpt/predict_motion"]
    node = rclpy.create_node("planner", namespace="shared", context=context, cli_args=arguments)
    with MotionClient(node, name="brain", timeout=SOON) as client:
        assert client.predict([POKE], POINTS).mean.shape == (2, 2)
    node.destroy_node()
