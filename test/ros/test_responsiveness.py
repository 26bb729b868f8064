# SPDX-License-Identifier: Apache-2.0
"""While a long prediction runs: parameters, lifecycle and other requests are answered."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from fpt_ros.msg import ErrorCode, MotionDistributions, Poke, PokeArray
from fpt_ros.srv import EvaluatePokes, SegmentMotion
from rclpy.task import Future
from ros_harness import as_pokes, scene

from fpt_ros.ros.conversions import floats

POKE = (40.0, 30.0, 12.0, -5.0)
MANY = 300_000


@pytest.fixture(scope="module")
def robot(start_node_of_module):
    return start_node_of_module(autostart=True, max_queries=MANY, image_cache=2)


@pytest.fixture
def ready(robot):
    """A node that is active and has an image, and its planner."""
    node, planner = robot
    if planner.state() != "active":
        assert planner.change_state("activate")
    planner.kept_image()
    return node, planner


def predict(planner):
    points = np.random.default_rng(0).uniform(0, 63, (MANY, 2)).astype(np.float32)
    return planner.predict_async(POKE, x=points[:, 0], y=points[:, 1])


def evaluate(planner, candidates=200, points=16384):
    x, zeros = floats(np.full(points, 5.0)), floats(np.zeros(points))
    request = EvaluatePokes.Request(
        candidates=[PokeArray(pokes=as_pokes(POKE))] * candidates,
        x=x, y=x, goal_dx=zeros, goal_dy=zeros, tolerance=3.0,
    )  # fmt: skip
    return planner.call_async("fpt/evaluate_pokes", EvaluatePokes, request)


def sample(planner):
    """A goal whose future gives its result, as that of a service does."""
    future, answer = planner.send_goal(POKE, samples=300).get_result_async(), Future()
    future.add_done_callback(lambda done: answer.set_result(done.result().result))
    return answer


@pytest.fixture(params=[predict])
def busy(ready, request):
    """A node that has just begun an answer of many seconds, its planner, and the answer."""
    node, planner = ready
    future = request.param(planner)
    planner.wait_for(lambda: cpu(node) > 0.3)
    return node, planner, future


def cpu(node):
    """Share of a core that the process used over the last tenth of a second."""
    ticks = [0.0, 0.0]
    for i in range(2):
        fields = Path(f"/proc/{node.pid}/stat").read_text().rpartition(")")[2].split()
        ticks[i] = (int(fields[11]) + int(fields[12])) / 100
        time.sleep(0.1)
    return (ticks[1] - ticks[0]) / 0.1


def timed(call):
    start = time.monotonic()
    call()
    return time.monotonic() - start


@pytest.mark.parametrize("busy", [predict, evaluate, sample], indirect=True)
def test_parameters_and_lifecycle_answer_within_100_ms(busy):
    _, planner, future = busy
    planner.get_parameter("grid"), planner.state(), planner.set_parameter("horizon", 1.0)
    delays = []
    for i in range(20):
        delays.append(timed(lambda: planner.get_parameter("grid")))
        delays.append(timed(lambda i=i: planner.set_parameter("horizon", float(i))))
        delays.append(timed(planner.state))
    assert not future.done()
    assert median(delays) < 0.1, delays
    deactivation = timed(lambda: planner.change_state("deactivate"))
    # One single call: its limit allows for other work on the machine.
    assert deactivation < 0.3
    planner.wait_for(future.done, timeout=2)
    assert future.result().error_code == ErrorCode.CANCELED
    assert "deactivated" in future.result().error_msg


def test_short_requests_do_not_wait_for_long_ones(busy):
    """Three long answers at once: a short one waits for a step of each, not for their ends."""
    _, planner, future = busy
    futures = [future, evaluate(planner), sample(planner)]
    delays = [timed(lambda: planner.predict(POKE, x=[1], y=[1])) for _ in range(7)]
    delays += [timed(lambda: planner.wait_for(evaluate(planner, 5, 5).done)) for _ in range(7)]
    assert median(delays) < 0.5, delays
    assert not any(future.done() for future in futures)
    planner.listen("motion", MotionDistributions)
    for dx in range(3):
        planner.pokes((40, 30, dx, 0))
        planner.wait_for_message("motion", dx, timeout=5)
    assert planner.change_state("deactivate")
    planner.wait_for(lambda: all(future.done() for future in futures), timeout=2)
    assert {future.result().error_code for future in futures} == {ErrorCode.CANCELED}


def test_a_large_message_holds_nothing_up(ready):
    """Its pokes become Python objects one by one, for as long as some hundred calls take."""
    _, planner = ready
    refused, answered = int(planner.diagnostics()["messages refused"]), 0
    planner.publish("pokes", PokeArray(pokes=[Poke(x=1.0)] * 300_000))
    while int(planner.status["messages refused"]) == refused:
        assert planner.get_parameter("grid") == [32, 24]
        answered += 1
    assert answered > 15
    assert "pokes has 300000 entries: at most 128" in planner.status["last refusal"]


def test_cleanup_and_a_new_start_while_a_prediction_runs(busy):
    _, planner, future = busy
    for transition in ("deactivate", "cleanup", "configure", "activate"):
        assert planner.change_state(transition)
    assert future.result().error_code == ErrorCode.CANCELED
    planner.kept_image()
    assert planner.predict(POKE, x=[1], y=[1]).error_code == ErrorCode.NONE


def test_many_requests_at_once_are_all_answered(ready):
    _, planner = ready
    futures = [planner.predict_async(POKE) for _ in range(150)]
    planner.wait_for(lambda: all(future.done() for future in futures), 60)
    codes = [future.result().error_code for future in futures]
    assert set(codes) == {ErrorCode.NONE, ErrorCode.BUSY}
    assert codes.count(ErrorCode.NONE) >= 100
    assert planner.predict(POKE).error_code == ErrorCode.NONE


def test_answer_wakes_an_idle_executor(ready):
    """Without anything else going on, the answer must not wait for the next timer."""
    _, planner = ready
    delays = [timed(lambda: planner.predict(POKE, x=[1], y=[1])) for _ in range(15)]
    assert median(delays) < 0.2, delays


def test_memory_stays_bounded(ready):
    """Many images and large requests: what is kept is image_cache images, not more."""
    node, planner = ready
    points = np.random.default_rng(0).uniform(0, 63, (16384, 2)).astype(np.float32)
    used = []
    for _ in range(4):
        for _ in range(5):
            planner.kept_image(scene(640, 480))
        planner.predict(POKE, x=points[:, 0], y=points[:, 1])
        planner.wait_for(evaluate(planner, 64, 300).done)
        assert planner.sample(POKE, x=points[:9, 0], y=points[:9, 1], samples=64)[1].error_code == 0
        planner.result(planner.send_goal(POKE, samples=0))
        segment = SegmentMotion.Request(pokes=as_pokes(POKE))
        assert planner.call("fpt/segment_motion", SegmentMotion, segment).error_code == 0
        status = Path(f"/proc/{node.pid}/status").read_text()
        used.append(int(status.split("VmRSS:")[1].split()[0]) / 1024)
    assert used[3] - used[1] < 30, used


def test_signal_ends_the_busy_node_quietly(busy):
    """The last test of this module: it ends its node."""
    node, planner, _ = busy
    sample(planner), evaluate(planner)
    said = len(node.log)
    assert node.stop(signal.SIGTERM) == 0
    assert "Traceback" not in node.log[said:]
