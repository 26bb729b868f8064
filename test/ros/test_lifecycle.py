# SPDX-License-Identifier: Apache-2.0
"""The life of the node process: transitions, failures, cycles and how it ends."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from action_msgs.msg import GoalStatus
from diagnostic_msgs.msg import DiagnosticStatus
from fpt_ros.msg import ErrorCode, ModelInfo, PokeArray
from fpt_ros.srv import EvaluatePokes, HoldImage, SegmentMotion
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_harness import NodeProcess, as_pokes

from fpt_ros.ros.conversions import floats

POKE = (40.0, 30.0, 12.0, -5.0)
OUTPUTS = ("motion", "flow", "overlay", "markers", "fpt/model_info")
INPUTS = ("image", "pokes", "query_points", "camera_info")


def entities(planner):
    """How many publishers and subscriptions of the node's topics there are."""
    publishers = [planner.node.count_publishers(topic) for topic in OUTPUTS]
    return publishers, [planner.node.count_subscribers(topic) for topic in INPUTS]


def codes(planner):
    """The error codes of every kind of request."""
    one = floats([5.0])
    evaluate = EvaluatePokes.Request(
        candidates=[PokeArray()], x=one, y=one, goal_dx=one, goal_dy=one, tolerance=1.0
    )
    segment = SegmentMotion.Request(pokes=as_pokes(POKE))
    status, result = planner.sample(POKE, x=[5], y=[5])
    assert status == (
        GoalStatus.STATUS_ABORTED if result.error_code else GoalStatus.STATUS_SUCCEEDED
    )
    return {
        planner.predict(POKE).error_code,
        planner.call("fpt/evaluate_pokes", EvaluatePokes, evaluate).error_code,
        planner.call("fpt/segment_motion", SegmentMotion, segment).error_code,
        planner.call("fpt/hold_image", HoldImage, HoldImage.Request()).error_code,
        result.error_code,
    }


def change(planner, transition_id):
    request = ChangeState.Request(transition=Transition(id=transition_id))
    return planner.call("fpt/change_state", ChangeState, request).success


def test_each_state_answers_and_says_what_comes_next(start_node):
    node, planner = start_node()
    assert planner.state() == "unconfigured"
    assert codes(planner) == {ErrorCode.NOT_ACTIVE}
    answer = planner.predict(POKE)
    assert "unconfigured" in answer.error_msg and "configure" in answer.error_msg
    for illegal in (Transition.TRANSITION_ACTIVATE, 10, 77):
        assert not change(planner, illegal)
    assert "transition 3 is refused: the node is unconfigured, must be one of con" in node.log
    assert node.log.count("WARN") == 1  # throttled, and rcl logs none of its own

    assert change(planner, Transition.TRANSITION_CONFIGURE)
    assert planner.state() == "inactive"
    planner.wait_for(lambda: entities(planner) == ([1] * 5, [0] * 4))
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    planner.listen("fpt/model_info", ModelInfo, latched)
    assert planner.wait_for_message("fpt/model_info").components == 4
    answer = planner.predict(POKE)
    assert answer.error_code == ErrorCode.NOT_ACTIVE
    assert "ros2 lifecycle set /robot" in answer.error_msg and "activate" in answer.error_msg

    assert planner.change_state("activate")
    assert not change(planner, Transition.TRANSITION_ACTIVATE)  # of a second manager
    assert planner.state() == "active"
    planner.wait_for(lambda: entities(planner) == ([1] * 5, [1] * 4))
    assert codes(planner) == {ErrorCode.NO_IMAGE}
    planner.kept_image()
    assert codes(planner) == {ErrorCode.NONE}

    assert planner.change_state("deactivate")
    assert codes(planner) == {ErrorCode.NOT_ACTIVE}
    assert planner.change_state("cleanup")
    assert planner.state() == "unconfigured"
    planner.wait_for(lambda: entities(planner) == ([0] * 5, [0] * 4))
    for state, command in (
        ("unconfigured", "configure"),
        ("inactive", "activate"),
        ("active", "deactivate"),
    ):
        lines = [line for line in node.log.splitlines() if f"{state}" in line]
        assert any(line.endswith(f"/fpt {command}") for line in lines), node.log
    assert planner.change_state("shutdown")
    assert planner.state() == "finalized"
    assert codes(planner) == {ErrorCode.NOT_ACTIVE}
    assert node.stop() == 0


def test_missing_checkpoint_then_a_good_one(start_node, tiny_checkpoint, tmp_path):
    """With a clock that stands still, as that of a paused simulator."""
    node, planner = start_node(use_sim_time=True, checkpoint=tmp_path / "nowhere.safetensors")
    for _ in range(5):  # of a manager without patience
        assert not planner.change_state("configure")
    assert planner.state() == "unconfigured"
    assert 1 <= node.log.count("cannot configure") <= 3  # once in 2 s
    assert "nowhere.safetensors" in node.log and "Traceback" not in node.log
    said = planner.diagnostics()
    assert "nowhere.safetensors" in said["last error"] and "nowhere" in said["message"]
    assert said["level"] == DiagnosticStatus.ERROR[0]

    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(tiny_checkpoint.read_bytes()[:1000])
    assert planner.set_parameter("checkpoint", str(broken)).successful
    assert not planner.change_state("configure")
    assert planner.state() == "unconfigured"
    assert "broken.safetensors" in node.log and "Traceback" not in node.log

    assert planner.set_parameter("checkpoint", str(tiny_checkpoint)).successful
    assert planner.change_state("configure")
    assert planner.change_state("activate")
    planner.kept_image()
    assert planner.predict(POKE).error_code == ErrorCode.NONE
    said = planner.diagnostics()
    assert (said["level"], said["last error"]) == (DiagnosticStatus.OK[0], "")
    assert said["failures"] == "0"  # since the activation


@pytest.mark.parametrize("library", ["_rclpy_pybind11", "fastrtps"])
def test_signal_in_the_first_second_is_quiet(tmp_path, tiny_checkpoint, library):
    """While libraries are loaded, from when this one is there."""
    node = NodeProcess("early", tmp_path / "log", checkpoint=tiny_checkpoint, autostart=True)
    maps = Path(f"/proc/{node.pid}/maps")
    while library not in maps.read_text() and node.alive:
        time.sleep(0.001)
    assert node.stop(signal.SIGINT) == 0
    assert "Traceback" not in node.log, node.log


def test_autostart_with_a_missing_checkpoint_stays_up(tmp_path):
    node = NodeProcess("alone", tmp_path / "log", checkpoint="/nowhere.pt", autostart=True)
    end = time.monotonic() + 60
    while "cannot configure" not in node.log and time.monotonic() < end:
        time.sleep(0.05)
    assert "/nowhere.pt" in node.log
    assert "autostart failed: mend what is said above; the node is unconfigured" in node.log
    time.sleep(0.5)
    assert node.alive
    assert node.stop() == 0


def resources(node):
    """Threads and open files."""
    process = Path(f"/proc/{node.pid}")
    return len(list((process / "task").iterdir())), len(list((process / "fd").iterdir()))


def test_three_cycles_leak_nothing(start_node):
    node, planner = start_node()
    seen = []
    for _ in range(4):  # the first one warms up
        for transition in ("configure", "activate"):
            assert planner.change_state(transition)
        planner.kept_image()
        assert planner.predict(POKE).error_code == ErrorCode.NONE
        for transition in ("deactivate", "cleanup"):
            assert planner.change_state(transition)
        planner.wait_for(lambda: entities(planner) == ([0] * 5, [0] * 4))
        time.sleep(0.3)
        seen.append((*resources(node), memory(node)))
    threads, files, megabytes = zip(*seen, strict=True)
    assert threads[1:] == (threads[1],) * 3
    assert files[1:] == (files[1],) * 3
    assert megabytes[3] - megabytes[1] < 20


def memory(node):
    """Resident megabytes."""
    status = Path(f"/proc/{node.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def test_signal_while_loading_ends_the_node_quietly(tmp_path, tiny_checkpoint):
    node = NodeProcess("early", tmp_path / "log", checkpoint=tiny_checkpoint, autostart=True)
    end = time.monotonic() + 60
    while "loading checkpoint" not in node.log and time.monotonic() < end:
        time.sleep(0.01)
    for _ in range(20):  # of launch, of the terminal, of an impatient user
        node.process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    assert node.stop(signal.SIGTERM) == 0
    assert "Traceback" not in node.log, node.log
