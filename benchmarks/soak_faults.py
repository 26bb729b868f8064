# SPDX-License-Identifier: Apache-2.0
"""The faults of the soak. Each ends with the node active again, or raises Failure."""

from __future__ import annotations

import array
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
from fpt_ros.srv import EvaluatePokes, PredictMotion
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.srv import GetParameters, ListParameters, SetParameters
from rclpy.clock import Clock
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import HistoryPolicy, QoSProfile
from rclpy.task import Future
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import CompressedImage, Image
from soak_images import bad_files, bad_images
from soak_roles import NAMESPACE, POINTS, POKES, TIMEOUT, evaluate_request, pokes

from fpt_ros.ros.conversions import floats

NODE = f"{NAMESPACE}/fpt"
# Shutdown is left out: its end is the end.
TRANSITIONS = (0, 1, 2, 3, 4, 8, 9, 10, 60, 77, 255)
NEXT = {"unconfigured": "configure", "inactive": "activate"}
KEEP_ALL = QoSProfile(history=HistoryPolicy.KEEP_ALL)  # else the client drops answers
OVERLOAD = 150  # requests at once; the node lets 100 wait


class Failure(RuntimeError):
    """The node did what it must not, or could not be brought back."""


class Faults:
    """Injects faults into the node of NAMESPACE.

    The node that is given is spun by another thread.
    """

    def __init__(self, node: Node, folder: Path, seed: int) -> None:
        """`folder`: of the checkpoint and the pictures, see soak.py."""
        self._node, self._folder = node, folder
        self._random = random.Random(seed)
        self.answers: Counter[str] = Counter()
        """What became of the requests that are sent here."""
        self.injected: Counter[str] = Counter()
        self._managers = [node.create_client(ChangeState, f"{NODE}/change_state") for _ in "ab"]
        self._state = node.create_client(GetState, f"{NODE}/get_state")
        self._get = node.create_client(GetParameters, f"{NODE}/get_parameters")
        self._set = node.create_client(SetParameters, f"{NODE}/set_parameters")
        self._list = node.create_client(ListParameters, f"{NODE}/list_parameters")
        self._predict = node.create_client(PredictMotion, f"{NODE}/predict_motion")
        self._evaluate = node.create_client(
            EvaluatePokes, f"{NODE}/evaluate_pokes", qos_profile=KEEP_ALL
        )
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
        self.activate()

    def meet(self) -> None:
        """Ask for the node's state until it answers: at first it may not know whom to answer."""
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            answer = self._state.call_async(GetState.Request())
            give_up = time.monotonic() + 1.0
            while time.monotonic() < give_up:
                time.sleep(0.01)
                if answer.done():
                    return
        raise Failure("the node does not answer")

    def close(self) -> None:
        self._camera.kill()
        self._camera.wait()

    # The faults

    def lifecycle_storm(self) -> int:
        """Eight at once: rclpy's services of a lifecycle node keep ten that wait, no more."""
        for _ in range(5):
            ids = self._random.choices(TRANSITIONS, k=4)
            self._wait(
                [
                    self._ask(manager, ChangeState.Request(transition=Transition(id=number)))
                    for number in ids
                    for manager in self._managers
                ]
            )
        return 40

    def two_managers(self) -> int:
        labels = ("deactivate", "cleanup", "configure", "activate")
        for label in labels:
            request = ChangeState.Request(transition=Transition(label=label))
            self._wait([self._ask(manager, request) for manager in self._managers])
        return 2 * len(labels)

    def reconfigure(self) -> int:
        self._change("deactivate")
        self._change("cleanup")
        request = GetParameters.Request(names=["image_transport"])
        present = self._wait([self._ask(self._get, request)])[0].values[0].string_value
        self._set_to("image_transport", "raw" if present == "compressed" else "compressed")
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
        self._set_to("use_sim_time", True)
        seconds = (1000.0, 1000.1, 5.0, 5.1, 1e6, 0.0, 3.0)
        for second in seconds:
            message = ClockMessage()
            message.clock.sec = int(second)
            message.clock.nanosec = int(second % 1 * 1e9)
            self._clock.publish(message)
            time.sleep(0.1)
        time.sleep(self._random.uniform(0.0, 1.5))  # it stands
        self._set_to("use_sim_time", False)
        return len(seconds) + 1

    def parameters(self) -> int:
        """Also all at once to what they are, as `ros2 param load` does after `ros2 param dump`."""
        names = self._wait([self._ask(self._list, ListParameters.Request())])[0].result.names
        values = self._wait([self._ask(self._get, GetParameters.Request(names=names))])[0].values
        dumped = [
            ParameterMessage(name=name, value=value)
            for name, value in zip(names, values, strict=True)
        ]
        count = self._load(dumped)
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
            self._set_to(name, value)
            count += 1
        return count + self._load(dumped)

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
            self._change("deactivate")
            self._change("cleanup")
            for _ in range(20):  # a manager without patience
                if self._change("configure"):
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
            self._ask(self._predict, PredictMotion.Request(**(good | change))) for change in changes
        ]
        if any(answer.error_code == ErrorCode.NONE for answer in self._wait(sent)):
            raise Failure("a bad request was answered")
        return len(changes)

    def overload(self) -> int:
        request = evaluate_request(32)
        sent = [self._ask(self._evaluate, request) for _ in range(OVERLOAD)]
        for _ in range(OVERLOAD):
            self._pokes.publish(PokeArray(pokes=pokes(POKES)))
        self._points.publish(QueryPoints(x=floats(np.zeros(10**6)), y=floats(np.zeros(10**6))))
        self._points.publish(QueryPoints())
        self._wait(sent)
        return 2 * OVERLOAD + 1

    # What they are made of

    def activate(self) -> None:
        """Bring the node to the active state and see that it answers."""
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            (answer,) = self._wait([self._ask(self._state, GetState.Request())])
            label = answer.current_state.label
            if label != "active":
                self._change(NEXT.get(label, "configure"))
                continue
            request = PredictMotion.Request(
                pokes=pokes(POKES), x=numbers(POINTS[0][0]), y=numbers(POINTS[0][1])
            )
            (answer,) = self._wait([self._ask(self._predict, request)])
            if answer.error_code == ErrorCode.NONE:
                return
            time.sleep(0.1)
        raise Failure(f"the node is {label}: {answer}")

    def _start(self, role: str, **more: Any) -> subprocess.Popen:
        script = Path(__file__).with_name("soak_roles.py")
        return subprocess.Popen([sys.executable, str(script), role, str(self._folder)], **more)

    def _now(self) -> Any:
        return Clock().now().to_msg()

    def _ask(self, client: Any, request: Any) -> Future:
        self.answers["asked"] += 1
        return client.call_async(request)

    def _wait(self, futures: list[Future]) -> list[Any]:
        """Their results; Failure if one does not come in time."""
        end = time.monotonic() + 2 * TIMEOUT
        while not all(future.done() for future in futures):
            if time.monotonic() > end:
                lost = sum(not future.done() for future in futures)
                self.answers["lost"] += lost
                raise Failure(f"{lost} of {len(futures)} requests were not answered")
            time.sleep(0.005)
        results = [future.result() for future in futures]
        for result in results:
            code = getattr(result, "error_code", 0)
            self.answers[f"refused {code}" if code else "answered"] += 1
        return results

    def _change(self, label: str) -> bool:
        request = ChangeState.Request(transition=Transition(label=label))
        return bool(self._wait([self._ask(self._managers[0], request)])[0].success)

    def _set_to(self, name: str, value: Any) -> None:
        parameters = [Parameter(name, value=value).to_parameter_msg()]
        self._wait([self._ask(self._set, SetParameters.Request(parameters=parameters))])

    def _load(self, parameters: list[ParameterMessage]) -> int:
        """Set them all; what was dumped must be accepted."""
        request = SetParameters.Request(parameters=parameters)
        (answer,) = self._wait([self._ask(self._set, request)])
        for result in answer.results:
            if not result.successful:
                raise Failure(f"what was dumped is refused: {result.reason}")
        return len(parameters)


def numbers(*values: float) -> array.array[float]:
    """A float32[] field."""
    return array.array("f", values)
