"""A node that takes compressed images."""

from __future__ import annotations

import resource
from pathlib import Path

import cv2
import numpy as np
import pytest
from fpt_ros.msg import ErrorCode
from ros_harness import scene

POKE = (40.0, 30.0, 12.0, -5.0)


@pytest.fixture(scope="module")
def robot(start_node_of_module):
    return start_node_of_module(autostart=True, image_transport="compressed")


def jpeg(pixels):
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def test_compressed_images(robot):
    _, planner = robot
    stamp = planner.compressed(jpeg(scene(120, 80)))
    planner.wait_for(lambda: planner.predict(POKE, x=[1], y=[1]).error_code == ErrorCode.NONE)
    answer = planner.predict(POKE, x=[1], y=[1])
    assert answer.motion.header.stamp == stamp
    assert (answer.motion.image_width, answer.motion.image_height) == (120, 80)


def test_what_is_no_picture_is_refused(robot):
    _, planner = robot
    planner.compressed(b"GIF89a")
    planner.wait_for(lambda: int(planner.status.get("messages refused", 0)) > 0)
    assert "neither jpeg nor png" in planner.status["last refusal"]


def test_broken_picture_is_an_error_for_who_asks_and_is_let_go(robot):
    _, planner = robot
    good = planner.compressed(jpeg(scene(120, 80)))
    planner.wait_for(lambda: planner.predict(POKE, stamp=good).error_code == ErrorCode.NONE)
    broken = planner.compressed(jpeg(scene(120, 80))[:40])
    planner.wait_for(
        lambda: planner.predict(POKE, stamp=broken).error_code == ErrorCode.PREDICTION_FAILED
    )
    assert planner.predict(POKE).motion.header.stamp == good


def test_lack_of_memory_ends_the_request_only(robot):
    node, planner = robot
    received = int(planner.diagnostics()["images received"])
    big = planner.compressed(jpeg(np.full((2000, 3000, 3), 99, np.uint8)))
    planner.wait_for(lambda: int(planner.status["images received"]) > received)
    used = int(Path(f"/proc/{node.pid}/statm").read_text().split()[0]) * resource.getpagesize()
    unlimited = resource.prlimit(node.pid, resource.RLIMIT_AS)
    # Turning this image into floating point numbers takes 72 MB.
    resource.prlimit(node.pid, resource.RLIMIT_AS, (used + 40_000_000, unlimited[1]))
    answer = planner.predict(POKE, x=[1], y=[1], stamp=big)
    resource.prlimit(node.pid, resource.RLIMIT_AS, unlimited)
    assert answer.error_code == ErrorCode.PREDICTION_FAILED, answer.error_msg
    assert "memory" in answer.error_msg.lower()
    status = planner.diagnostics()
    assert status["level"] == 2
    assert "memory" in status["last error"].lower()
    assert planner.predict(POKE, x=[1], y=[1], stamp=big).error_code == ErrorCode.NONE
