# SPDX-License-Identifier: Apache-2.0
"""The node that the soak is about, as its clients see it."""

from __future__ import annotations

import array
import subprocess
import time
from collections import Counter
from typing import Any

from fpt_ros.msg import ErrorCode
from fpt_ros.srv import EvaluatePokes, PredictMotion
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.srv import GetParameters, ListParameters, SetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import HistoryPolicy, QoSProfile
from rclpy.task import Future
from soak_roles import NAMESPACE, POINTS, POKES, TIMEOUT, pokes

NODE = f"{NAMESPACE}/fpt"
NEXT = {"unconfigured": "configure", "inactive": "activate"}
KEEP_ALL = QoSProfile(history=HistoryPolicy.KEEP_ALL)  # else the client drops answers


class Failure(RuntimeError):
    """The node did what it must not, or could not be brought back."""


class Target:
    """Asks the node, counts what becomes of it, and brings it back to the active state.

    The node that is given, which asks, is spun by another thread.
    """

    def __init__(self, node: Node, process: subprocess.Popen) -> None:
        """`process`: of the node that is asked."""
        self._process = process
        self.answers: Counter[str] = Counter()
        """What became of the requests."""
        self.managers = [node.create_client(ChangeState, f"{NODE}/change_state") for _ in "ab"]
        self.state = node.create_client(GetState, f"{NODE}/get_state")
        self.get = node.create_client(GetParameters, f"{NODE}/get_parameters")
        self.set = node.create_client(SetParameters, f"{NODE}/set_parameters")
        self.list = node.create_client(ListParameters, f"{NODE}/list_parameters")
        self.predict = node.create_client(PredictMotion, f"{NODE}/predict_motion")
        self.evaluate = node.create_client(
            EvaluatePokes, f"{NODE}/evaluate_pokes", qos_profile=KEEP_ALL
        )

    def meet(self) -> None:
        """Ask for the node's state until it answers: at first it may not know whom to answer."""
        end = time.monotonic() + 2 * TIMEOUT
        while time.monotonic() < end and self._process.poll() is None:
            answer = self.state.call_async(GetState.Request())
            give_up = time.monotonic() + 1.0
            while time.monotonic() < give_up:
                time.sleep(0.01)
                if answer.done():
                    return
        raise Failure(f"the node does not answer (exit status {self._process.poll()})")

    def activate(self) -> None:
        """Bring the node to the active state and see that it answers."""
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            (answer,) = self.wait([self.ask(self.state, GetState.Request())])
            label = answer.current_state.label
            if label != "active":
                self.change(NEXT.get(label, "configure"))
                continue
            request = PredictMotion.Request(
                pokes=pokes(POKES), x=numbers(POINTS[0][0]), y=numbers(POINTS[0][1])
            )
            (answer,) = self.wait([self.ask(self.predict, request)])
            if answer.error_code == ErrorCode.NONE:
                return
            time.sleep(0.1)
        raise Failure(f"the node is {label}: {answer}")

    def ask(self, client: Any, request: Any) -> Future:
        self.answers["asked"] += 1
        return client.call_async(request)

    def wait(self, futures: list[Future]) -> list[Any]:
        """Their results; Failure if one does not come in time."""
        end = time.monotonic() + 2 * TIMEOUT
        while not all(future.done() for future in futures):
            if time.monotonic() > end or self._process.poll() is not None:
                lost = sum(not future.done() for future in futures)
                self.answers["lost"] += lost
                raise Failure(
                    f"{lost} of {len(futures)} requests were not answered "
                    f"(the node's exit status: {self._process.poll()})"
                )
            time.sleep(0.005)
        results = [future.result() for future in futures]
        for result in results:
            code = getattr(result, "error_code", 0)
            self.answers[f"refused {code}" if code else "answered"] += 1
        return results

    def change(self, label: str) -> bool:
        request = ChangeState.Request(transition=Transition(label=label))
        return bool(self.wait([self.ask(self.managers[0], request)])[0].success)

    def set_to(self, name: str, value: Any) -> None:
        parameters = [Parameter(name, value=value).to_parameter_msg()]
        self.wait([self.ask(self.set, SetParameters.Request(parameters=parameters))])

    def load(self, parameters: list[ParameterMessage]) -> int:
        """Set them all; what was dumped must be accepted."""
        request = SetParameters.Request(parameters=parameters)
        (answer,) = self.wait([self.ask(self.set, request)])
        for result in answer.results:
            if not result.successful:
                raise Failure(f"what was dumped is refused: {result.reason}")
        return len(parameters)


def numbers(*values: float) -> array.array[float]:
    """A float32[] field."""
    return array.array("f", values)
