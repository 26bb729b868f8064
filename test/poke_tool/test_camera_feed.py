# SPDX-License-Identifier: Apache-2.0
"""Which image fpt_poke shows, and with which depth."""

from __future__ import annotations

import array
import os
import time

import numpy as np
import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image

from fpt_ros.poke_tool.camera_feed import KEPT, CameraFeed

DOMAIN = 101 + os.getpid() % 100  # not that of the other tests


class Camera:
    """Publishes images and depth to a feed; stamps are milliseconds, which images are grey with."""

    def __init__(self, context):
        self.node = rclpy.create_node("feed", context=context)
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(self.node)
        self.calls = 0
        self.feed = CameraFeed(self.node, "raw", "raw", 0.02, self._count)
        self.publishers = [self.node.create_publisher(Image, t, 5) for t in ("image", "depth")]

    def _count(self):
        self.calls += 1

    def image(self, ms):
        self._send(0, ms, Image(encoding="mono8", step=3, data=array.array("B", 6 * [ms])))

    def depth(self, ms, metres):
        samples = np.full((2, 3), 1000 * metres, np.uint16)
        self._send(1, ms, Image(encoding="16UC1", step=6, data=array.array("B", samples.tobytes())))

    def _send(self, which, ms, message):
        message.height, message.width = 2, 3
        message.header.stamp.sec, message.header.stamp.nanosec = 1000, 1_000_000 * ms
        self.publishers[which].publish(message)
        until = time.monotonic() + 0.1
        while time.monotonic() < until:
            self.executor.spin_once(timeout_sec=0.02)

    @property
    def shown(self):
        """Milliseconds of the image, and its depth [m]."""
        depth = self.feed.surface.depth
        return int(self.feed.rgb[0, 0, 0]), None if depth is None else round(float(depth[0, 0]), 3)


@pytest.fixture
def camera():
    context = Context()
    rclpy.init(context=context, domain_id=DOMAIN)
    camera = Camera(context)
    for publisher in camera.publishers:
        while not publisher.get_subscription_count():
            time.sleep(0.01)
    yield camera
    context.try_shutdown()


def test_an_image_is_shown_with_the_depth_of_its_stamp_and_not_with_the_newest(camera):
    camera.image(10)
    assert camera.shown == (10, None)
    camera.depth(12, 2)  # either may come first
    camera.depth(60, 3)
    assert camera.shown == (10, 2)
    camera.image(100)  # whose depth has not come: the one before is shown
    assert (camera.shown, camera.calls) == ((10, 2), 2)
    camera.depth(95, 4)
    assert (camera.shown, camera.calls) == ((100, 4), 3)
    camera.image(61)
    assert camera.shown == (61, 3)


def test_where_depth_comes_no_longer_the_picture_goes_on(camera):
    camera.image(1)
    camera.depth(1, 2)
    for ms in range(30, 30 + KEPT):
        camera.image(ms)
    assert camera.shown == (29 + KEPT, None)
