# SPDX-License-Identifier: Apache-2.0
"""The faults of the soak. Each ends with the node active again, or raises Failure."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from fpt_ros.msg import ErrorCode, PokeArray, QueryPoints
from fpt_ros.srv import PredictMotion
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.clock import Clock
from rclpy.node import Node
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import CompressedImage, Image
from soak_images import bad_files, bad_images
from soak_node import Failure, Target, numbers
from soak_roles import NAMESPACE, POKES, evaluate_request, pokes

from fpt_ros.ros.conversions import floats

# Shutdown is left out: its end is the end.
TRANSITIONS = (0, 1, 2, 3, 4, 8, 9, 10, 60, 77, 255)
OVERLOAD = 150  # requests at once; the node lets 100 wait


class Faults:
    """Injects faults into the node."""

    def __init__(self, node: Node, target: Target, folder: Path, seed: int) -> None:
        """
        Args:
            node: publishes what is wrong.
            folder: of the checkpoint and the pictures, see soak.py.
        """
        self._target, self._folder = target, folder
        self._random = random.Random(seed)
        self.injected: Counter[str] = Counter()
        self._image = node.create_publisher(Image, f"{NAMESPACE}/image", 10)
        self._compressed = node.create_publisher(
            CompressedImage, f"{NAMESPACE}/image/compressed", 10
        )
        self._clock = node.create_publisher(ClockMessage, "/clock", 10)
        self._pokes = node.create_publisher(PokeArray, f"{NAMESPACE}/pokes", 10)
        self._points = node.create_publisher(QueryPoints, f"{NAMESPACE}/query_points", 10)
        self._camera = self._start("camera")

    @property
    def kinds(self) -> dict[str, Callable[[], int]]:
        """Each injects a fault and tells how often."""
        return {
            "lifecycle storm, also of illegal ids": self.lifecycle_storm,
            "two managers at once": self.two_managers,
            "reconfigured with the other image transport": self.reconfigure,
            "client killed in a service call": lambda: self.killed_client("asker"),
            "client killed in an action goal": lambda: self.killed_client("sampler"),
            "camera killed and restarted": self.killed_camera,
            "bad image": self.bad_images,
            "clock that jumps back or stands": self.clock,
            "parameter set, valid, invalid or to what it is": self.parameters,
            "checkpoint overwritten or truncated": self.checkpoint,
            "bad request": self.bad_requests,
            "overload: request or message": self.overload,
        }

    def inject(self, kind: str) -> None:
        """One fault of this kind; then the node must be active."""
        self.injected[kind] += self.kinds[kind]()
        self._target.activate()

    def close(self) -> None:
        self._camera.kill()
        self._camera.wait()

    # The faults

    def lifecycle_storm(self) -> int:
        """Eight at once: rclpy's services of a lifecycle node keep ten that wait, no more."""
        for _ in range(5):
            ids = self._random.choices(TRANSITIONS, k=4)
            self._target.wait(
                [
                    self._target.ask(manager, ChangeState.Request(transition=Transition(id=number)))
                    for number in ids
                    for manager in self._target.managers
                ]
            )
        return 40

    def two_managers(self) -> int:
        labels = ("deactivate", "cleanup", "configure", "activate")
        for label in labels:
            request = ChangeState.Request(transition=Transition(label=label))
            self._target.wait(
                [self._target.ask(manager, request) for manager in self._target.managers]
            )
        return 2 * len(labels)

    def reconfigure(self) -> int:
        self._target.change("deactivate")
        self._target.change("cleanup")
        request = GetParameters.Request(names=["image_transport"])
        present = (
            self._target.wait([self._target.ask(self._target.get, request)])[0]
            .values[0]
            .string_value
        )
        self._target.set_to("image_transport", "raw" if present == "compressed" else "compressed")
        return 1

    def killed_client(self, role: str) -> int:
        client = self._start(role, stdout=subprocess.PIPE)
        assert client.stdout is not None
        client.stdout.readline()  # it has asked
        time.sleep(self._random.uniform(0.0, 0.3))
        client.kill()
        client.wait()
        client.stdout.close()
        return 1

    def killed_camera(self) -> int:
        self._camera.kill()
        self._camera.wait()
        time.sleep(self._random.uniform(0.0, 1.0))
        self._camera = self._start("camera")
        return 1

    def bad_images(self) -> int:
        raw = bad_images()
        files = bad_files((self._folder / "0.png").read_bytes())
        for image in raw:
            image.header.stamp = self._now()
            self._image.publish(image)
            time.sleep(0.02)
        for data, text in files:
            message = CompressedImage(format=text, data=data)
            message.header.stamp = self._now()
            self._compressed.publish(message)
            time.sleep(0.02)
        return len(raw) + len(files)

    def clock(self) -> int:
        """Simulated time that goes, steps back, stands, and is no more."""
        self._target.set_to("use_sim_time", True)
        seconds = (1000.0, 1000.1, 5.0, 5.1, 1e6, 0.0, 3.0)
        for second in seconds:
            message = ClockMessage()
            message.clock.sec = int(second)
            message.clock.nanosec = int(second % 1 * 1e9)
            self._clock.publish(message)
            time.sleep(0.1)
        time.sleep(self._random.uniform(0.0, 1.5))  # it stands
        self._target.set_to("use_sim_time", False)
        return len(seconds) + 1

    def parameters(self) -> int:
        """Also all at once to what they are, as `ros2 param load` does after `ros2 param dump`."""
        names = self._target.wait([self._target.ask(self._target.list, ListParameters.Request())])[
            0
        ].result.names
        values = self._target.wait(
            [self._target.ask(self._target.get, GetParameters.Request(names=names))]
        )[0].values
        dumped = [
            ParameterMessage(name=name, value=value)
            for name, value in zip(names, values, strict=True)
        ]
        count = self._target.load(dumped)
        for name, value in (
            ("grid", [8, 6]),
            ("trigger", "both"),
            ("image_cache", 3),
            ("horizon", 1.0),
            ("grid", [0, -1]),
            ("grid", "large"),
            ("max_queries", -5),
            ("trigger", "never"),
            ("checkpoint", "/nowhere"),
            ("no_such_parameter", 1.5),
            ("sample_range", [9, 3]),
            ("image_cache", 2**40),
        ):
            self._target.set_to(name, value)
            count += 1
        return count + self._target.load(dumped)

    def checkpoint(self) -> int:
        """Written over with noise, then cut off: answers stay, a new configuration is refused."""
        file = self._folder / "model.safetensors"
        good = file.read_bytes()
        with file.open("r+b") as target:  # not a new file: this one may be mapped
            target.write(bytes(self._random.randrange(256) for _ in range(1000)) * 1000)
        time.sleep(0.3)
        with file.open("r+b") as target:
            target.truncate(len(good) // 3)
        time.sleep(0.3)
        if self._random.random() < 0.5:
            self._target.change("deactivate")
            self._target.change("cleanup")
            for _ in range(20):  # a manager without patience
                if self._target.change("configure"):
                    raise Failure("a checkpoint that is cut off was accepted")
        file.write_bytes(good)
        return 2

    def bad_requests(self) -> int:
        """Requests that must be refused; NaN, lengths, sizes, stamps."""
        good = {"pokes": pokes(POKES), "x": numbers(1.0), "y": numbers(1.0)}
        nan, far = float("nan"), 1e9
        changes: list[dict[str, Any]] = [
            {"x": numbers(nan)},
            {"x": numbers(far)},
            {"x": numbers()},
            {"y": numbers(1.0, 2.0)},
            {"x": floats(np.zeros(10**5)), "y": floats(np.zeros(10**5))},
            {"pokes": pokes([[nan, 0.0, 1.0, 1.0]])},
            {"pokes": pokes([[1.0, 1.0, far, 1.0]])},
            {"stamp": Time(sec=1)},
        ]
        sent = [
            self._target.ask(self._target.predict, PredictMotion.Request(**(good | change)))
            for change in changes
        ]
        if any(answer.error_code == ErrorCode.NONE for answer in self._target.wait(sent)):
            raise Failure("a bad request was answered")
        return len(changes)

    def overload(self) -> int:
        request = evaluate_request(32)
        sent = [self._target.ask(self._target.evaluate, request) for _ in range(OVERLOAD)]
        for _ in range(OVERLOAD):
            self._pokes.publish(PokeArray(pokes=pokes(POKES)))
        self._points.publish(QueryPoints(x=floats(np.zeros(10**6)), y=floats(np.zeros(10**6))))
        self._points.publish(QueryPoints())
        self._target.wait(sent)
        return 2 * OVERLOAD + 1

    def _start(self, role: str, **more: Any) -> subprocess.Popen:
        script = Path(__file__).with_name("soak_roles.py")
        return subprocess.Popen([sys.executable, str(script), role, str(self._folder)], **more)

    def _now(self) -> Any:
        return Clock().now().to_msg()
