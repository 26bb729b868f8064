# SPDX-License-Identifier: Apache-2.0
"""To one node fpt: its services and its action, and how long its answers may take."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

from rclpy.action import ActionClient
from rclpy.qos import HistoryPolicy, QoSProfile

from fpt_ros.action import SampleMotion
from fpt_ros.client.caller import Caller
from fpt_ros.client.calls import GoalCall, ServiceCall
from fpt_ros.srv import (
    EvaluatePokes,
    HoldImage,
    ObserveMotion,
    PredictMotion,
    PredictMotion3D,
    SegmentMotion,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.context import Context
    from rclpy.node import Node

    from fpt_ros.client.calls import Progress
    from fpt_ros.client.future import MotionFuture

T = TypeVar("T")

SERVICES: dict[str, Any] = {
    "predict_motion": PredictMotion,
    "evaluate_pokes": EvaluatePokes,
    "segment_motion": SegmentMotion,
    "predict_motion_3d": PredictMotion3D,
    "observe_motion": ObserveMotion,
    "hold_image": HoldImage,
}
# Many threads may ask at once: the middleware must drop nothing.
KEEP_ALL = QoSProfile(history=HistoryPolicy.KEEP_ALL)


class Connection:
    """Sends requests and goals to the node; see `MotionClient` for the arguments."""

    def __init__(
        self, node: Node | None, name: str, timeout: float, context: Context | None
    ) -> None:
        """ValueError for a timeout that is none."""
        self._timeout = _checked(timeout)
        self._caller = caller = Caller(node, context)
        self._clients = {
            service.Request: caller.node.create_client(
                service, caller.full_name(f"{name}/{path}"), qos_profile=KEEP_ALL
            )
            for path, service in SERVICES.items()
        }
        self._action_name = caller.full_name(f"{name}/sample_motion")
        self._action: ActionClient = ActionClient(
            caller.node,
            SampleMotion,
            self._action_name,
            goal_service_qos_profile=KEEP_ALL,
            result_service_qos_profile=KEEP_ALL,
        )
        caller.start(f"{name}/get_state")

    def close(self) -> None:
        """What waits ends with a RuntimeError, goals are canceled."""
        self._caller.close()

    def ask(self, request: Any, read: Callable[[Any], T], timeout: float | None) -> MotionFuture[T]:
        """Send a request to the service of its type; `read` makes the answer of the response."""
        call = ServiceCall(self._clients[type(request)], request)
        return self._caller.submit(call, read, self.seconds(timeout))

    def send_goal(
        self,
        goal: SampleMotion.Goal,
        read: Callable[[Any], T],
        progress: Progress | None,
        timeout: float | None,
    ) -> MotionFuture[T]:
        """Send a goal to the action; `read` makes the answer of the result."""
        call = GoalCall(self._action, self._action_name, goal, progress)
        return self._caller.submit(call, read, self.seconds(timeout))

    def seconds(self, timeout: float | None) -> float:
        """Of a question's own timeout, or where it has none, of the client's."""
        return self._timeout if timeout is None else _checked(timeout)


def _checked(timeout: float) -> float:
    if math.isnan(timeout) or timeout <= 0:
        raise ValueError(f"timeout is {timeout}: must be above 0 [s]")
    return timeout
