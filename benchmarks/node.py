# SPDX-License-Identifier: Apache-2.0
"""The node's own share of the time from an image to `motion`, beyond inference.

    python benchmarks/node.py [--checkpoint embedded] [--images 60] [--size 640x480]

The real node runs as a process with `trigger: image`; this program publishes raw images and takes
the time until the motion with the same stamp arrives. The node's diagnostics say how long the
encoder and the queries took; the rest is transport, conversion, and the messages.
"""

from __future__ import annotations

import argparse
import array
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import rclpy
from ament_index_python.packages import get_package_prefix
from diagnostic_msgs.msg import DiagnosticArray
from fpt_ros.msg import MotionDistributions, Poke, PokeArray
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from tqdm import tqdm

NAMESPACE = "/fpt_benchmark"
PATIENCE = 30.0  # seconds


class Camera(Node):
    """Publishes images and takes what comes back."""

    def __init__(self) -> None:
        super().__init__("camera", namespace=NAMESPACE)
        self.images = self.create_publisher(Image, "image", QoSProfile(depth=1))
        self.pokes = self.create_publisher(PokeArray, "pokes", QoSProfile(depth=1))
        self.motion: MotionDistributions | None = None
        self.arrived = 0.0
        self.timings: dict[str, str] = {}
        self.create_subscription(MotionDistributions, "motion", self._take_motion, 5)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._take_diagnostics, 5)

    def _take_motion(self, message: MotionDistributions) -> None:
        self.motion, self.arrived = message, time.perf_counter()

    def _take_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.startswith(NAMESPACE):
                self.timings = {value.key: value.value for value in status.values}

    def wait_for(self, condition, what: str, patience: float = PATIENCE) -> None:  # type: ignore[no-untyped-def]
        end = time.monotonic() + patience
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"waited {patience} s for {what}")
            rclpy.spin_once(self, timeout_sec=0.05)

    def spin_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            rclpy.spin_once(self, timeout_sec=left)


def main() -> None:
    arguments = parse_arguments()
    width, height = (int(part) for part in arguments.size.split("x"))
    rclpy.init()
    camera = Camera()
    executable = Path(get_package_prefix("fpt_ros"), "lib", "fpt_ros", "fpt_node")
    command = [
        sys.executable, str(executable), "--ros-args", "-r", f"__ns:={NAMESPACE}",
        "-p", "autostart:=true", "-p", "trigger:=image",
        "-p", f"checkpoint:={arguments.checkpoint}",
    ]  # fmt: skip
    process = subprocess.Popen(command, env=os.environ, stderr=subprocess.DEVNULL)
    try:
        latencies = measure(camera, width, height, arguments.images)
    finally:
        process.terminate()
        process.wait(10)
    embed, query = (
        float(camera.timings[f"{name} p50 / p95 [ms]"].split("/")[0])
        for name in ("embed image", "query")
    )
    latency = statistics.median(latencies)
    print(f"{width} x {height}, {arguments.checkpoint}, {len(latencies)} images, medians")
    print(f"image published to motion received   {latency:7.1f} ms")
    print(f"  encoder                            {embed:7.1f} ms")
    print(f"  queries                            {query:7.1f} ms")
    print(f"  the node's own share and transport {latency - embed - query:7.1f} ms")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--checkpoint", default="embedded")
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--size", default="640x480")
    return parser.parse_args()


def measure(camera: Camera, width: int, height: int, images: int) -> list[float]:
    """Milliseconds from each image to its motion; the first few do not count."""
    pixels = np.random.default_rng(0).integers(0, 256, height * width * 3, dtype=np.uint8)
    data = array.array("B", pixels.tobytes())
    image = Image(height=height, width=width, encoding="bgr8", step=3 * width, data=data)
    camera.wait_for(camera.images.get_subscription_count, "the node to listen")
    camera.wait_for(lambda: camera.count_publishers("motion"), "the node to publish")
    camera.spin_for(1.0)
    camera.pokes.publish(PokeArray(pokes=[Poke(x=width / 2, y=height / 2, dx=20.0)]))
    camera.spin_for(0.2)
    latencies, lost = [], 0
    for _ in tqdm(range(images + 5), "images", leave=False):
        image.header.stamp = camera.get_clock().now().to_msg()
        sent = time.perf_counter()
        camera.images.publish(image)
        try:
            camera.wait_for(
                lambda: camera.motion and camera.motion.header.stamp == image.header.stamp,
                "a motion",
                patience=3.0,
            )
        except TimeoutError:  # images travel best effort
            lost += 1
            continue
        latencies.append(1000 * (camera.arrived - sent))
        camera.spin_for(0.05)
    if lost > images // 2:
        raise TimeoutError(f"{lost} of {images + 5} images brought no motion: {camera.timings}")
    camera.spin_for(1.5)  # for the last diagnostics
    return latencies[5:]


if __name__ == "__main__":
    main()
