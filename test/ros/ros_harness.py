# SPDX-License-Identifier: Apache-2.0
"""A real node process, and a planner that talks to it over DDS."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rclpy
from ament_index_python import get_package_prefix
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from fpt_ros.action import SampleMotion
from fpt_ros.msg import Poke, PokeArray, QueryPoints
from fpt_ros.srv import PredictMotion
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters, SetParameters
from rclpy.action import ActionClient
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter, parameter_value_to_python
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from fpt_ros.ros.conversions import floats

ROOT = Path(__file__).resolve().parents[2]
FRAME = "camera_optical_frame"
# The other side of a new connection may learn of it later than this one.
SETTLING = 0.3


class NodeProcess:
    """The installed executable with parameters, in a namespace of its own."""

    def __init__(
        self, namespace: str, log: Path, params_file: Path | None = None, **parameters: object
    ) -> None:
        executable = Path(get_package_prefix("fpt_ros")) / "lib/fpt_ros/fpt_node"
        command = [str(executable), "--ros-args", "-r", f"__ns:=/{namespace}"]
        if params_file is not None:
            command += ["--params-file", str(params_file)]
        for name, value in parameters.items():
            command += ["-p", f"{name}:={str(value).lower() if value in (True, False) else value}"]
        self._log = log
        # The checkout's modules, not those of the last installation.
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, *command], stdout=output, stderr=subprocess.STDOUT, env=environment
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """Send the signal and return the exit status."""
        if self.alive:
            self.process.send_signal(how)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


class Planner:
    """Publishes images and pokes, asks, and keeps what the node under test publishes."""

    def __init__(self, namespace: str) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, args=[])
        self.node = rclpy.create_node("planner", namespace=namespace, context=self.context)
        self.received: dict[str, list] = defaultdict(list)
        self._clients: dict[str, object] = {}
        self._sampler: ActionClient | None = None
        self._publishers: dict[str, object] = {}
        self._matched: set = set()
        self._stamp = 1000
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        self.status: dict[str, str] = {}
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self._meet()

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()

    def close(self) -> None:
        self._executor.shutdown()
        self._thread.join(5)
        if self._sampler is not None:
            self._sampler.destroy()  # the node does not, and would stay in DDS
        self.node.destroy_node()
        self.context.try_shutdown()

    # Topics

    def listen(self, topic: str, message_type: type, qos: object = 10) -> object:
        """Keep what arrives on a topic of the node in `received[topic]`."""
        matched = threading.Event()
        subscription = self.node.create_subscription(
            message_type,
            topic,
            lambda message: self.received[topic].append(message),
            qos,
            event_callbacks=SubscriptionEventCallbacks(matched=lambda _: matched.set()),
        )
        assert matched.wait(20), f"nobody publishes {topic}"
        time.sleep(SETTLING)
        return subscription

    def in_executor(self, function: Callable[..., object], *arguments: object) -> None:
        """Call it in the thread that spins, which may else be about to wait for what goes."""
        task = self._executor.create_task(function, *arguments)
        self.wait_for(task.done, what=f"{function.__name__} in the executor")

    def publish(self, topic: str, message: object) -> None:
        """Publish once somebody listens."""
        if topic not in self._publishers:
            self._publishers[topic] = self.node.create_publisher(type(message), topic, 100)
        publisher = self._publishers[topic]
        if publisher not in self._matched:
            self.wait_for(
                lambda: publisher.get_subscription_count() > 0, what=f"readers of {topic}"
            )
            time.sleep(SETTLING)
            self._matched.add(publisher)
        publisher.publish(message)

    def image(self, pixels: np.ndarray | None = None, stamp=None, **changes: object) -> Time:
        """Publish an rgb8 image (with `changes` to its message), return its stamp."""
        message = image_message(scene() if pixels is None else pixels, stamp or self.next_stamp())
        for field, value in changes.items():
            setattr(message, field, value)
        self.publish("image", message)
        return message.header.stamp

    def kept_image(self, pixels: np.ndarray | None = None, **changes: object) -> Time:
        """As image, and wait until the node has it. Best effort: it may take a second attempt."""
        stamp = self.next_stamp()
        while self.predict(x=[1], y=[1], stamp=stamp).error_code in (2, 3):
            self.image(pixels, stamp=stamp, **changes)
            time.sleep(0.05)
        return stamp

    def kept_image_unasked(self, pixels: np.ndarray) -> Time:
        """Publish an image until the node has received it, without asking about it."""
        before = int(self.diagnostics()["images received"])
        stamp = self.image(pixels)
        while int(self.diagnostics()["images received"]) == before:
            self.image(pixels, stamp)
        return stamp

    def compressed(self, data: bytes, image_format: str = "jpeg") -> Time:
        message = CompressedImage(format=image_format, data=data)
        message.header.stamp, message.header.frame_id = self.next_stamp(), FRAME
        self.publish("image/compressed", message)
        return message.header.stamp

    def camera_info(self, width: int, height: int, focal: float) -> None:
        k = [focal, 0.0, width / 2, 0.0, focal, height / 2, 0.0, 0.0, 1.0]
        self.publish("camera_info", CameraInfo(width=width, height=height, k=k))

    def pokes(self, *pokes: tuple, stamp: Time | None = None) -> None:
        message = PokeArray(pokes=as_pokes(pokes))
        message.header.stamp = stamp or Time()
        self.publish("pokes", message)

    def points(self, x: list[float], y: list[float]) -> None:
        self.publish("query_points", QueryPoints(x=floats(x), y=floats(y)))

    def next_stamp(self) -> Time:
        self._stamp += 1
        return Time(sec=self._stamp, nanosec=500)

    def wait_for_message(self, topic: str, seen: int = 0, timeout: float = 20.0) -> object:
        """The newest message of a topic, once there are more than `seen`."""
        self.wait_for(lambda: len(self.received[topic]) > seen, timeout, f"a message on {topic}")
        return self.received[topic][-1]

    def wait_for(self, condition: object, timeout: float = 20.0, what: str = "it") -> None:
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, f"waited {timeout} s for {what}"
            time.sleep(0.005)

    # Services

    def call_async(self, service: str, service_type: type, request: object) -> object:
        if service not in self._clients:
            self._clients[service] = self.node.create_client(
                service_type, service, qos_profile=QoSProfile(depth=200)
            )
        client = self._clients[service]
        assert client.wait_for_service(20), f"no service {service}"
        return client.call_async(request)

    def call(self, *call: object, timeout: float = 30.0) -> object:
        future = self.call_async(*call)
        self.wait_for(future.done, timeout, f"an answer of {call[0]}")
        return future.result()

    def _meet(self) -> None:
        """Ask the node's state until it answers: it may first not know where answers go to."""
        for _ in range(30):
            answer = self.call_async("fpt/get_state", GetState, GetState.Request())
            with contextlib.suppress(AssertionError):
                self.wait_for(answer.done, 1.0)
                return
        raise AssertionError("no answer of fpt/get_state")

    def predict_async(self, *pokes: tuple, x=(), y=(), stamp=None, camera_moving=False) -> object:
        request = PredictMotion.Request(
            stamp=stamp or Time(),
            pokes=as_pokes(pokes),
            x=floats(x),
            y=floats(y),
            camera_moving=camera_moving,
        )
        return self.call_async("fpt/predict_motion", PredictMotion, request)

    def predict(self, *pokes: tuple, timeout: float = 30.0, **request: object) -> object:
        future = self.predict_async(*pokes, **request)
        self.wait_for(future.done, timeout, "a prediction")
        return future.result()

    # The action

    def send_goal(self, *pokes: tuple, x=(), y=(), samples=1, **goal: object) -> object:
        """Start sampling; returns the accepted goal's handle, with a list `feedback`."""
        if self._sampler is None:
            self._sampler = ActionClient(self.node, SampleMotion, "fpt/sample_motion")
            assert self._sampler.wait_for_server(20), "no action fpt/sample_motion"
        message = SampleMotion.Goal(
            pokes=as_pokes(pokes), x=floats(x), y=floats(y), samples=samples, **goal
        )
        feedback: list = []
        future = self._sampler.send_goal_async(message, lambda said: feedback.append(said.feedback))
        self.wait_for(future.done, what="a goal's acceptance")
        handle = future.result()
        assert handle.accepted
        handle.feedback = feedback
        return handle

    def result(self, handle: object, timeout: float = 30.0) -> tuple[int, object]:
        """Status and result of a goal."""
        future = handle.get_result_async()
        self.wait_for(future.done, timeout, "a goal's result")
        return future.result().status, future.result().result

    def sample(self, *pokes: tuple, **goal: object) -> tuple[int, object]:
        return self.result(self.send_goal(*pokes, **goal))

    def change_state(self, label: str) -> bool:
        request = ChangeState.Request()
        request.transition.label = label
        return self.call("fpt/change_state", ChangeState, request).success

    def state(self) -> str:
        return self.call("fpt/get_state", GetState, GetState.Request()).current_state.label

    def set_parameter(self, name: str, value: object) -> object:
        parameters = [Parameter(name, value=value).to_parameter_msg()]
        request = SetParameters.Request(parameters=parameters)
        return self.call("fpt/set_parameters", SetParameters, request).results[0]

    def get_parameter(self, name: str) -> object:
        request = GetParameters.Request(names=[name])
        response = self.call("fpt/get_parameters", GetParameters, request)
        return parameter_value_to_python(response.values[0])

    def describe_parameters(self) -> dict[str, object]:
        names = self.call("fpt/list_parameters", ListParameters, ListParameters.Request())
        request = DescribeParameters.Request(names=names.result.names)
        response = self.call("fpt/describe_parameters", DescribeParameters, request)
        return {descriptor.name: descriptor for descriptor in response.descriptors}

    def diagnostics(self) -> dict[str, str]:
        """The values of the next diagnostics, with `level` and `message`."""
        seen = self.status
        self.wait_for(lambda: self.status is not seen, what="diagnostics")
        return self.status

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        for status in array.status:
            if status.name.startswith(f"{self.node.get_namespace()}/fpt:"):
                values = {value.key: value.value for value in status.values}
                self.status = {**values, "level": status.level[0], "message": status.message}


def scene(width: int = 96, height: int = 64) -> np.ndarray:
    """A picture that is different everywhere."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], -1).astype(np.uint8)


def image_message(pixels: np.ndarray, stamp: Time) -> Image:
    height, width, _ = pixels.shape
    message = Image(
        height=height, width=width, encoding="rgb8", step=3 * width, data=pixels.tobytes()
    )
    message.header.stamp, message.header.frame_id = stamp, FRAME
    return message


def as_pokes(pokes: tuple) -> list[Poke]:
    return [
        Poke(x=x, y=y, dx=dx, dy=dy)
        for x, y, dx, dy in np.asarray(pokes, float).reshape(-1, 4).tolist()
    ]
