# SPDX-License-Identifier: Apache-2.0
"""Raw camera images arrive, though they are larger than the middleware's usual shared memory."""

from __future__ import annotations

import time

from rclpy.qos import qos_profile_sensor_data
from ros_harness import image_message, scene
from sensor_msgs.msg import Image


def test_best_effort_images_of_a_camera_arrive(start_node):
    _, planner = start_node(autostart=True)
    camera = planner.node.create_publisher(Image, "image", qos_profile_sensor_data)
    planner.wait_for(camera.get_subscription_count, what="the node")
    time.sleep(0.5)
    pixels = scene(640, 480)
    for _ in range(20):
        camera.publish(image_message(pixels, planner.next_stamp()))
        time.sleep(0.1)
    planner.diagnostics()
    received = int(planner.diagnostics()["images received"])
    assert received >= 15
