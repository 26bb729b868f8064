# SPDX-License-Identifier: Apache-2.0
"""What rclpy's lifecycle leaves to be done: faults are logged, illegal transitions are answered."""

from __future__ import annotations

import functools
import time
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


class News:
    """Keeps a manager without patience from filling the log with one failure."""

    def __init__(self) -> None:
        self._text, self._since = "", 0.0

    def __call__(self, text: str) -> bool:
        """Whether it differs from the last one, or that is LOG_PERIOD old."""
        now = time.monotonic()
        news = text != self._text or now - self._since > LOG_PERIOD
        if news:
            self._text, self._since = text, now
        return news


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
    """Answer requests for them with success = false, before rclpy sees them.

    By rclpy of Jazzy they would end the process, and rcl logs each one.
    """
    service = node._service_change_state  # neither has a public name
    change_state = service.callback

    def change_if_legal(request: Any, response: Any) -> Any:
        machine = node._state_machine
        allowed = {number: label for number, label, *_ in machine.available_transitions}
        wanted = request.transition.label or request.transition.id
        if wanted in allowed or wanted in allowed.values():
            return change_state(request, response)
        node.get_logger().warning(
            f"transition {wanted} is refused: the node is {machine.current_state[1]}, must be one "
            f"of {', '.join(sorted(set(allowed.values())))}",
            throttle_duration_sec=LOG_PERIOD,
        )
        response.success = False
        return response

    service.callback = change_if_legal


def destroy_state_machine(node: LifecycleNode) -> None:
    """After `destroy_node`, which leaves it: with Kilted it keeps the node in others' graphs, and
    a client cannot tell that the node has ended.
    """
    for name in [name for name in vars(node) if name.startswith("_service_")]:
        delattr(node, name)
    del node._state_machine
