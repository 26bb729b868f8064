# SPDX-License-Identifier: Apache-2.0
"""What rclpy's lifecycle leaves to be done: faults are logged, illegal transitions are answered."""

from __future__ import annotations

import functools
import traceback
from typing import TYPE_CHECKING, Any, Protocol

from rclpy.lifecycle import TransitionCallbackReturn

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.impl.rcutils_logger import RcutilsLogger
    from rclpy.lifecycle import LifecycleNode, LifecycleState

    from fpt_ros.engine.statistics import Statistics

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
LOG_PERIOD = 2.0  # seconds between failures that are logged


class HasStatistics(Protocol):
    """A lifecycle node that notes what fails."""

    statistics: Statistics

    def get_logger(self) -> RcutilsLogger: ...


def transition(
    method: Callable[[Any, LifecycleState], TransitionCallbackReturn],
) -> Callable[[Any, LifecycleState], TransitionCallbackReturn]:
    """A method on_...: what it raises is logged, which rclpy would drop without a word."""

    @functools.wraps(method)
    def run(node: HasStatistics, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            result = method(node, state)
        except Exception as error:
            node.statistics.failed(f"{method.__name__}: {error}")
            node.get_logger().error(f"{method.__name__} failed:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR
        if result == SUCCESS and method.__name__ != "on_error":
            node.statistics.succeeded()
        return result

    return run


def refuse_illegal_transitions(node: LifecycleNode) -> None:
    """Answer requests for them with success = false; by rclpy they would end the process."""
    service = node._service_change_state  # it has no public name
    change_state = service.callback

    def change_if_legal(request: Any, response: Any) -> Any:
        try:
            return change_state(request, response)
        except RuntimeError as error:  # of rcl: what the transitions raise does not come out
            wanted = request.transition.label or request.transition.id
            node.get_logger().warning(
                f"transition {wanted} is refused: {error}", throttle_duration_sec=LOG_PERIOD
            )
            response.success = False
            return response

    service.callback = change_if_legal
