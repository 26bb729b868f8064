# SPDX-License-Identifier: Apache-2.0
"""The simulated robot's camera, which shows its pictures to the node over ROS."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from fpt_ros.apps.record import FRAME_ID, compressed
from fpt_ros.client import MotionClient, MotionError
from fpt_ros.msg import ErrorCode

if TYPE_CHECKING:
    import numpy as np
    from builtin_interfaces.msg import Time
    from jaxtyping import UInt8

NOT_YET = (ErrorCode.NOT_ACTIVE, ErrorCode.NO_IMAGE, ErrorCode.IMAGE_NOT_KEPT)
PATIENCE = 60.0  # seconds
LAST_LINES = 8


class Camera:
    """Publishes pictures; images travel best effort, so it asks whether they have arrived."""

    def __init__(self, namespace: str) -> None:
        self.node = Node("camera", namespace=namespace)
        self._images = self.node.create_publisher(
            CompressedImage, "image/compressed", qos_profile_sensor_data
        )

    def show(self, image: UInt8[np.ndarray, "h w 3"]) -> Time:
        """Publish a picture, stamped now."""
        header = Header(stamp=self.node.get_clock().now().to_msg(), frame_id=FRAME_ID)
        self._images.publish(compressed(image, header))
        return header.stamp

    def show_until_kept(
        self,
        image: UInt8[np.ndarray, "h w 3"],
        client: MotionClient,
        process: subprocess.Popen,
        log: Path,
    ) -> Time:
        """Publish a picture until the node has it; its stamp.

        Raises:
            RuntimeError: the node ended, or does not take pictures; with the end of its log.
        """
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < deadline:
            if "cannot configure" in log.read_text():
                break
            stamp = self.show(image)
            try:
                client.predict([], [[0, 0]], stamp=stamp, timeout=1.0)
                return stamp
            except TimeoutError:
                continue  # it is still starting
            except MotionError as error:
                if error.code not in NOT_YET:
                    raise
                time.sleep(0.05)
        end = "\n".join(log.read_text().splitlines()[-LAST_LINES:])
        raise RuntimeError(f"the node takes no pictures. The end of its log:\n{end}")
