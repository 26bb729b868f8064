# SPDX-License-Identifier: Apache-2.0
"""MotionClient when things go wrong: nobody there, no time, cancellation, restart, shutdown."""

from __future__ import annotations

import gc
import itertools
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError

import numpy as np
import pytest
import rclpy
from action_msgs.msg import GoalStatus, GoalStatusArray
from fpt_ros.msg import ErrorCode
from fpt_ros.srv import PredictMotion
from lifecycle_msgs.srv import GetState
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import qos_profile_action_status_default

from fpt_ros.client import MotionClient, MotionError

POKE = (40.0, 30.0, 12.0, -5.0)
POINTS = [[5.0, 7.0], [90.5, 60.25]]
MANY = 150_000


@pytest.fixture
def context():
    context = rclpy.Context()
    rclpy.init(context=context, args=[])
    yield context
    context.try_shutdown()


@pytest.fixture
def connect(context):
    """Makes clients of nodes by their namespace."""
    clients = []

    def connect(namespace, **options):
        clients.append(MotionClient(name=f"/{namespace}/fpt", context=context, **options))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


def many_points():
    return np.random.default_rng(0).uniform(0, 63, (MANY, 2)).astype(np.float32)


def assert_nothing_left(client):
    """No request of the client waits for an answer that nobody wants."""
    end = time.monotonic() + 5
    connection = client._connection
    caller, goals = connection._caller, connection._action
    services = (*connection._clients.values(), caller._servers.get_state)
    while (
        caller._pending
        or any(service._pending_requests for service in services)
        or goals._pending_goal_requests
        or goals._pending_result_requests
        or goals._feedback_callbacks
    ):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_no_node(planner, connect):
    connect("shared").wait_until_ready()  # so that it is known where there is one
    client = connect("nowhere")
    start = time.monotonic()
    with pytest.raises(TimeoutError) as error:
        client.predict([POKE], POINTS, timeout=0.5)
    assert 0.5 < time.monotonic() - start < 2
    for word in ("/nowhere/fpt/predict_motion", "0.5 s", "/shared/fpt"):
        assert word in str(error.value)
    with pytest.raises(TimeoutError, match="/nowhere/fpt/sample_motion"):
        client.sample([POKE], POINTS, timeout=0.5)
    assert_nothing_left(client)


def test_busy_and_hung_node_and_change_of_mind(start_node, connect):
    node, planner = start_node("busy", autostart=True, max_queries=MANY)
    planner.kept_image()
    client = connect("busy")
    client.wait_until_ready()
    with pytest.raises(TimeoutError) as error:
        client.predict([POKE], many_points(), timeout=0.6)
    for word in ("/busy/fpt/predict_motion", "0.6 s", "active and busy"):
        assert word in str(error.value)
    assert_nothing_left(client)
    canceled = client.predict_async([POKE], many_points())
    assert canceled.cancel()
    with pytest.raises(CancelledError):
        canceled.result()
    assert_nothing_left(client)
    node.process.send_signal(signal.SIGSTOP)
    with pytest.raises(TimeoutError, match="hangs"):
        client.evaluate([POKE], POINTS, POINTS, 5.0, timeout=0.6)
    given_up = client.sample_async([POKE], samples=300)
    time.sleep(0.2)  # so that the goal is sent, and not accepted yet
    assert given_up.cancel()
    node.process.send_signal(signal.SIGCONT)
    assert client.predict([POKE], POINTS).mean.shape == (2, 2)
    # Nothing is left, nor do late answers of what was given up disturb anything.
    assert_nothing_left(client)


def test_sampling_ends_with_the_wish_for_it(planner, connect):
    """Canceled, out of time or failed in the caller's callback: the node's goal is canceled."""
    topic = "fpt/sample_motion/_action/status"
    planner.listen(topic, GoalStatusArray, qos_profile_action_status_default)
    client = connect("shared")
    told = threading.Event()
    future = client.sample_async([POKE], samples=300, progress=lambda *_: told.set())
    assert told.wait(20)
    assert future.cancel()
    with pytest.raises(TimeoutError, match="sample_motion"):
        client.sample([POKE], samples=300, timeout=0.5)
    with pytest.raises(ZeroDivisionError):
        client.sample([POKE], samples=300, progress=lambda done, total: done / 0)
    client.sample_async([POKE], samples=300).cancel()  # at once, perhaps before it is sent

    def ends():
        goals = planner.received[topic][-1].status_list[-3:]
        return {goal.status for goal in goals} == {GoalStatus.STATUS_CANCELED}

    planner.wait_for(ends, what="goals that are canceled")
    assert_nothing_left(client)


def test_a_goal_is_sent_once_and_fails_with_its_node(start_node, connect):
    node, planner = start_node("gone", autostart=True)
    planner.kept_image()
    client = connect("gone")
    told = threading.Event()
    future = client.sample_async([POKE], samples=300, progress=lambda *_: told.set())
    assert told.wait(20)
    assert node.stop() == 0
    with pytest.raises(MotionError, match="the node ended") as error:
        future.result(10)
    assert error.value.code == ErrorCode.CANCELED
    assert_nothing_left(client)


def test_states_and_restarts_of_the_node(start_node, connect, tmp_path):
    """One client: before the node is there, while it becomes ready, killed, and started again."""
    client = connect("back", timeout=20)
    early = client.predict_async([POKE], POINTS)
    node, planner = start_node("back")
    with pytest.raises(MotionError, match="activate") as error:
        early.result()
    assert error.value.code == ErrorCode.NOT_ACTIVE
    with pytest.raises(MotionError, match="activate"):
        client.sample([POKE])
    with pytest.raises(TimeoutError, match=r"1 s.*activate"):
        client.wait_until_ready(1.0)
    assert planner.change_state("configure") and planner.change_state("activate")
    with pytest.raises(TimeoutError, match="no image"):
        client.wait_until_ready(0.5)
    planner.kept_image()
    client.wait_until_ready(5)
    before = client.predict([POKE], POINTS)

    node.stop(signal.SIGKILL)  # which the middleware notices much later
    waiting = client.predict_async([POKE], POINTS)
    _, planner = start_node("back", autostart=True)
    with pytest.raises(MotionError):
        waiting.result()  # asked again: the new node was not active yet or has no image
    planner.kept_image()
    client.wait_until_ready(20)
    np.testing.assert_array_equal(client.predict([POKE], POINTS).means, before.means)


@pytest.fixture
def shy(context):
    """A node in the namespace shy whose first answer is lost; it notes what it is asked."""
    node = rclpy.create_node("fpt", namespace="shy", context=context)
    asked = []

    async def get_state(_, response):
        asked.append("state")
        if len(asked) == 1:
            await rclpy.task.Future()  # never done
        return response

    def predict_motion(_, response):
        asked.append("motion")
        response.error_code = ErrorCode.NO_IMAGE
        return response

    group = ReentrantCallbackGroup()  # the lost answer must hold up nothing
    node.create_service(GetState, "fpt/get_state", get_state, callback_group=group)
    node.create_service(PredictMotion, "fpt/predict_motion", predict_motion)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    yield asked
    executor.shutdown()
    thread.join()
    node.destroy_node()


def test_a_new_node_is_asked_once_it_answers(shy, connect):
    """It may receive questions before it can answer them, so it is greeted first, and only then."""
    client = connect("shy", timeout=10)
    for pause in (0, 0, 1.5):
        time.sleep(pause)
        with pytest.raises(MotionError) as error:
            client.predict([POKE], POINTS)
        assert error.value.code == ErrorCode.NO_IMAGE
    runs = [(question, len(list(run))) for question, run in itertools.groupby(shy)]
    assert [question for question, _ in runs] == ["state", "motion"]
    assert runs[0][1] >= 2 and runs[1][1] == 3
    assert_nothing_left(client)


def test_shutdown_and_close_end_what_waits(connect, context):
    client, closed = connect("nowhere"), connect("nowhere")
    waiting, others = client.predict_async([POKE]), closed.predict_async([POKE])
    closed.close()
    with pytest.raises(RuntimeError, match="closed"):
        others.result(5)
    with pytest.raises(RuntimeError, match="closed"):
        closed.predict([POKE])
    context.shutdown()
    with pytest.raises(ExternalShutdownException):
        waiting.result(5)
    with pytest.raises(ExternalShutdownException):
        client.predict([POKE])


def test_a_closed_client_is_gone_from_the_graph(planner, connect):
    def clients():
        return [name for name in planner.node.get_node_names() if name.startswith("_motion_client")]

    gc.disable()  # which would end what close() leaves behind, some time or other
    try:
        before = set(clients())
        client = connect("shared")
        planner.wait_for(lambda: set(clients()) > before)
        client.close()
        planner.wait_for(lambda: set(clients()) <= before)
    finally:
        gc.enable()


SCRIPT = """
import rclpy
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import ExternalShutdownException
from fpt_ros.client import MotionClient

rclpy.init()
client = MotionClient(name="/nowhere/fpt")
print("asking", flush=True)
try:
    client.predict([[1, 2, 3, 4]])
except (KeyboardInterrupt, ExternalShutdownException):
    print("interrupted")
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_a_script_that_waits(how):
    script = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert script.stdout.readline() == "asking\n"
    time.sleep(0.2)
    script.send_signal(how)
    printed, errors = script.communicate(timeout=10)
    assert (script.returncode, printed, errors) == (0, "interrupted\n", "")


def test_script_may_end_without_closing(planner):
    """Neither client nor rclpy: the process must not hang or crash at its end."""
    code = (
        "import rclpy; from fpt_ros.client import MotionClient; rclpy.init()\n"
        "print(MotionClient(name='/shared/fpt').predict([[40, 30, 5, 0]]).flow.shape)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "(24, 32, 2)\n", "")
