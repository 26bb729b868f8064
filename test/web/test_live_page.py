# SPDX-License-Identifier: Apache-2.0
"""The live camera of a real node, over DDS, in a real browser."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import rclpy
from ament_index_python import get_package_prefix
from page_harness import WebServer, opened, wait_for
from playwright.sync_api import Browser
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage

from fpt_ros import Predictor
from fpt_ros.web.offers import Offers

PERIOD = 0.1  # seconds
CLOSE = 0.05  # pixels
COUNT_FRAMES = """async () => {
  const { onChange, state } = await import("/state.js");
  globalThis.frames = globalThis.faults = 0;
  onChange((names) => {
    if (names.has("liveFrame") && state.liveFrame) frames++;
    if (names.has("message") && state.message) faults++;
  });
}"""
SLOW_TO_DECODE = """() => {
  const decode = createImageBitmap;
  globalThis.createImageBitmap = async (...given) => {
    await new Promise((resolve) => setTimeout(resolve, 300));
    return decode(...given);
  };
}"""


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[np.ndarray]:
    """A camera that always sees the drawer: the pixels that the node decodes. Every other image is
    cut off, and all of them until the file `start` is there."""
    rgb = Offers().open("drawer", None)[0]
    data = cv2.imencode(".png", rgb[..., ::-1])[1].tobytes()
    context = rclpy.Context()
    rclpy.init(context=context, args=[])
    node = rclpy.create_node("camera", context=context)
    publisher = node.create_publisher(
        CompressedImage, "/live/image/compressed", qos_profile_sensor_data
    )
    ended = threading.Event()

    def publish() -> None:
        whole = False
        while not ended.wait(PERIOD):
            whole = not whole and (tmp_path / "start").exists()
            message = CompressedImage(format="png", data=data if whole else data[:-99])
            message.header.stamp = node.get_clock().now().to_msg()
            publisher.publish(message)

    thread = threading.Thread(target=publish)
    thread.start()
    yield rgb
    ended.set()
    thread.join()
    node.destroy_node()
    context.shutdown()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[None]:
    """The node with the embedded weights, which finds its camera in its namespace."""
    executable = Path(get_package_prefix("fpt_ros"), "lib/fpt_ros/fpt_node")
    command = [sys.executable, str(executable), "--ros-args", "-r", "__ns:=/live"]
    command += ["-p", "autostart:=true", "-p", "image_transport:=compressed"]
    with (tmp_path / "node.log").open("w") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    yield
    process.terminate()
    assert process.wait(30) == 0


def test_the_node_answers_about_its_frozen_camera(
    browser: Browser, camera: np.ndarray, node: None, tmp_path: Path, predictor: Predictor
):
    with (
        WebServer(tmp_path / "server.log", "--live", "/live/fpt") as server,
        opened(browser, server.address) as page,
    ):
        page.page.wait_for_selector("text=Waiting for the camera")
        page.page.mouse.move(300, 300)  # there is no picture yet
        assert "is a png that is cut off" in page.wait_for("message")
        page.page.evaluate(COUNT_FRAMES)
        (tmp_path / "start").touch()
        assert page.wait_for("liveFrame") == [640, 480]
        assert page.state("message") == ""
        wait_for(lambda: page.page.evaluate("frames > 2"), "frames")
        assert page.page.evaluate("faults") == 0  # a cut image between two whole ones
        page.page.wait_for_selector("text=Model: embedded, on the node /live/fpt")
        first = page.pixels()
        box = page.page.locator("#view").bounding_box()
        scale = box["width"] / 640

        def move(x: float, y: float) -> None:
            page.page.mouse.move(box["x"] + (x + 0.5) * scale, box["y"] + (y + 0.5) * scale)

        move(274, 300)
        page.page.mouse.down()
        move(260, 297)
        page.wait_for("liveFrame", lambda frame: frame is None)  # frozen while one pokes
        move(241, 292)
        page.page.mouse.up()
        (poke,) = page.state("pokes")
        assert np.allclose(poke, [274, 300, -33, -8], atol=2)
        expected = predictor.predict(predictor.embed(camera), [poke], [page.state("query")])
        assert np.abs(page.mean() - expected.mean.numpy()[0]).max() < CLOSE
        assert max(page.answered("field")["moving"]) > 0.5
        assert "the node /live/fpt" in page.page.text_content("#model")
        assert (page.pixels() != first).any()
        page.page.click("text=mark what stays")
        page.page.mouse.click(*page.at(174, 279))
        page.page.keyboard.press("l")
        page.wait_for("liveFrame")
        assert page.state("pokes") == page.state("stay") == []
        page.page.evaluate(SLOW_TO_DECODE)
        page.page.wait_for_timeout(500)
        page.page.keyboard.press("l")
        page.wait_for("liveFrame", lambda frame: frame is None)
        page.page.wait_for_timeout(500)
        assert page.state("liveFrame") is None  # one that came before it was frozen is not shown
