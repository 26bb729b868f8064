"""A client that vanishes costs no more than the step in flight, and nobody else anything."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from fpt_ros.msg import ErrorCode, PokeArray
from fpt_ros.srv import EvaluatePokes
from ros_harness import as_pokes

from fpt_ros.ros.conversions import floats

POKE = (40.0, 30.0, 12.0, -5.0)
ASK = """
import sys, rclpy
from rclpy.action import ActionClient
from fpt_ros.action import SampleMotion
from fpt_ros.msg import Poke, PokeArray
from fpt_ros.srv import EvaluatePokes

kind, namespace = sys.argv[1:]
rclpy.init()
node = rclpy.create_node("short_lived", namespace=namespace)
if kind == "evaluate":
    client = node.create_client(EvaluatePokes, "fpt/evaluate_pokes")
    assert client.wait_for_service(20)
    many = [float(i % 60) for i in range(16384)]
    for _ in range(3):
        future = client.call_async(EvaluatePokes.Request(
            candidates=[PokeArray(pokes=[Poke(x=1.0, y=1.0)])] * 256,
            x=many, y=many, goal_dx=many, goal_dy=many, tolerance=1.0))
else:
    client = ActionClient(node, SampleMotion, "fpt/sample_motion")
    assert client.wait_for_server(20)
    future = client.send_goal_async(SampleMotion.Goal(samples=300))
rclpy.spin_until_future_complete(node, future, timeout_sec=1.0)
print("asked", flush=True)
rclpy.spin(node)
"""


@pytest.fixture
def ask():
    """Starts a process that asks something long, and gives it back once it has asked."""
    started = []

    def start(kind, planner):
        process = subprocess.Popen(
            [sys.executable, "-c", ASK, kind, planner.node.get_namespace()],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        started.append(process)
        assert process.stdout.readline() == b"asked\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def waiting(planner):
    return int(planner.diagnostics()["requests waiting"])


def evaluate_async(planner, candidates, points):
    x = floats(np.full(points, 5.0))
    request = EvaluatePokes.Request(
        candidates=[PokeArray(pokes=as_pokes([POKE]))] * candidates,
        x=x, y=x, goal_dx=x, goal_dy=x, tolerance=1.0,
    )  # fmt: skip
    return planner.call_async("fpt/evaluate_pokes", EvaluatePokes, request)


def test_requests_of_a_client_that_is_gone_are_dropped_and_those_of_others_are_not(planner, ask):
    planner.kept_image()
    process = ask("evaluate", planner)
    assert waiting(planner) == 3
    ours = evaluate_async(planner, 256, 150)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    process.wait(10)
    planner.wait_for(lambda: waiting(planner) <= 1, timeout=4, what="the requests' end")
    planner.wait_for(ours.done, timeout=60)
    assert ours.result().error_code == ErrorCode.NONE
    assert len(ours.result().probability) == 256 * 150


def test_a_goal_of_a_client_that_is_gone_is_dropped(start_node, ask):
    _, planner = start_node(autostart=True)
    planner.kept_image()
    process = ask("sample", planner)
    assert waiting(planner) == 1
    time.sleep(1)
    assert waiting(planner) == 1
    process.send_signal(signal.SIGINT)
    process.wait(10)
    planner.wait_for(lambda: waiting(planner) == 0, timeout=4, what="the goal's end")
