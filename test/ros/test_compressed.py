# SPDX-License-Identifier: Apache-2.0
"""A node that takes compressed images."""

from __future__ import annotations

import array
import resource
from pathlib import Path

import board
import cv2
import numpy as np
import pytest
from fpt_ros.msg import ErrorCode
from fpt_ros.srv import PredictMotion3D
from ros_harness import ROOT, as_pokes, scene
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from fpt_ros.ros.conversions import floats, mask_to_message

POKE = (40.0, 30.0, 12.0, -5.0)
FIXTURES = ROOT / "test/fixtures/images"


def jpeg(pixels):
    return cv2.imencode(".jpg", pixels)[1].tobytes()


@pytest.fixture(scope="module")
def robot(start_node_of_module):
    return start_node_of_module(
        autostart=True, image_transport="compressed", depth_image_transport="compressedDepth"
    )


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


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (jpeg(scene(120, 80))[:-700], "is a jpeg that is cut off"),
        ((FIXTURES / "png_header_60000x60000.png").read_bytes(), "60000 x 60000 = 3600000000"),
    ],
    ids=["half", "huge"],
)
def test_half_and_huge_pictures_are_refused_when_they_arrive(robot, data, words):
    """The newest image stays the good one, with its features."""
    _, planner = robot
    good = planner.compressed(jpeg(scene(120, 80)))
    planner.wait_for(lambda: planner.predict(POKE, stamp=good).error_code == ErrorCode.NONE)
    planner.compressed(data)
    planner.wait_for(lambda: words in planner.status["last refusal"])
    assert planner.predict(POKE).motion.header.stamp == good


def damaged_png():
    """Whole, but for a byte in the middle."""
    data = bytearray(cv2.imencode(".png", scene(120, 80))[1].tobytes())
    data[len(data) // 2] ^= 255
    return bytes(data)


def test_broken_picture_is_an_error_for_who_asks_and_is_let_go(robot):
    _, planner = robot
    good = planner.compressed(jpeg(scene(120, 80)))
    planner.wait_for(lambda: planner.predict(POKE, stamp=good).error_code == ErrorCode.NONE)
    broken = planner.compressed(damaged_png())
    planner.wait_for(
        lambda: planner.predict(POKE, stamp=broken).error_code == ErrorCode.PREDICTION_FAILED
    )
    assert planner.predict(POKE).motion.header.stamp == good


def test_depth_is_refused_and_thermal_images_are_read(robot):
    _, planner = robot
    samples = np.linspace(7000, 7500, 120 * 80).astype(np.uint16).reshape(80, 120)
    data = cv2.imencode(".png", samples)[1].tobytes()
    planner.compressed(data, "16UC1; png compressed ")
    planner.wait_for(lambda: "depth in millimetres" in planner.status["last refusal"])
    assert planner.set_parameter("sample_range", [7000, 7500]).successful
    stamp = planner.compressed(data, "16UC1; png compressed ")
    planner.wait_for(lambda: planner.predict(POKE, stamp=stamp).error_code == ErrorCode.NONE)
    assert planner.set_parameter("sample_range", [0, 65535]).successful


def test_compressed_depth_gives_metres(robot):
    _, planner = robot
    pixels, metres = board.draw(board.STILL)
    stamp = planner.compressed(cv2.imencode(".png", pixels[..., ::-1])[1].tobytes(), "png")
    millimetres = np.round(metres * 1000).astype(np.uint16)
    png = cv2.imencode(".png", millimetres)[1].tobytes()
    depth = CompressedImage(format="16UC1; compressedDepth png")
    depth.header.stamp, depth.data = stamp, array.array("B", bytes(12) + png)
    pokes = as_pokes(board.in_pixels(board.pokes(board.turned(0.2), 4)))
    mask = mask_to_message(board.mask(), Header())
    request = PredictMotion3D.Request(stamp=stamp, pokes=pokes, mask=mask, x=floats([160]))
    request.y = floats([120])
    for _ in range(100):
        planner.camera_info(320, 240, board.CAMERA.fx)
        planner.publish("depth/compressedDepth", depth)
        answer = planner.call("fpt/predict_motion_3d", PredictMotion3D, request)
        if answer.error_code != ErrorCode.NO_IMAGE:
            break
    assert answer.error_code == ErrorCode.NONE, answer.error_msg
    assert answer.positions[2] == pytest.approx(metres[120, 160], abs=6e-4)


def test_lack_of_memory_ends_the_request_only(robot):
    node, planner = robot
    received = int(planner.diagnostics()["images received"])
    big = planner.compressed(jpeg(np.full((4000, 6000, 3), 99, np.uint8)))
    planner.wait_for(lambda: int(planner.status["images received"]) > received)
    used = int(Path(f"/proc/{node.pid}/statm").read_text().split()[0]) * resource.getpagesize()
    unlimited = resource.prlimit(node.pid, resource.RLIMIT_AS)
    # The pixels of this image take 72 MB.
    resource.prlimit(node.pid, resource.RLIMIT_AS, (used + 40_000_000, unlimited[1]))
    answer = planner.predict(POKE, x=[1], y=[1], stamp=big)
    resource.prlimit(node.pid, resource.RLIMIT_AS, unlimited)
    assert answer.error_code == ErrorCode.PREDICTION_FAILED, answer.error_msg
    assert "memory" in answer.error_msg.lower()
    status = planner.diagnostics()
    assert status["level"] == 2
    assert "memory" in status["last error"].lower()
    assert planner.predict(POKE, x=[1], y=[1], stamp=big).error_code == ErrorCode.NONE
