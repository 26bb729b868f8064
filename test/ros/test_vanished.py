# SPDX-License-Identifier: Apache-2.0
"""A client that vanishes costs no more than the step in flight, and nobody else anything."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

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


@pytest.fixture(scope="module")
def planner(start_node_of_module):
    """Of a node that nobody else asks."""
    _, planner = start_node_of_module(autostart=True)
    planner.image()
    planner.wait_for(lambda: planner.diagnostics()["images received"] != "0")
    return planner


@pytest.mark.parametrize(("kind", "requests"), [("evaluate", 3), ("sample", 1)])
def test_what_is_asked_by_a_service_is_dropped_when_its_last_client_is_gone(
    planner, ask, kind, requests
):
    process = ask(kind, planner)
    assert waiting(planner) == requests
    time.sleep(1)
    assert waiting(planner) == requests
    process.send_signal(signal.SIGINT)
    process.wait(10)
    planner.wait_for(lambda: waiting(planner) == 0, timeout=4, what="the requests' end")
