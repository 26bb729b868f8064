# SPDX-License-Identifier: Apache-2.0
"""The action sample_motion: goals that wait for the engine, report and can be canceled.

Every goal is accepted. One that cannot be served is aborted, since only a result carries an error.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rclpy.action import ActionServer, CancelResponse
from rclpy.clock import Clock, ClockType

from fpt_ros.action import SampleMotion
from fpt_ros.engine.errors import ErrorCode
from fpt_ros.ros.answers import sample_motion
from fpt_ros.ros.conversions import stamp_of
from fpt_ros.ros.requests import error_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.action.server import ServerGoalHandle
    from rclpy.callback_groups import CallbackGroup
    from rclpy.node import Node
    from rclpy.task import Future

    from fpt_ros.ros.requests import Requests

REPORT_PERIOD = 0.1  # s
REASON = "the goal was canceled"
MAX_RUNNING = 8  # each keeps what it has sampled so far, up to a gigabyte with the largest models
RESULT_KEPT = 60  # s that a caller has to fetch a result


class SampleAction:
    """The action server, which lives as long as the node: a goal is answered in every state."""

    def __init__(self, node: Node, requests: Requests, group: CallbackGroup) -> None:
        """`group`: as in create_services."""
        self._requests = requests
        self._running: dict[bytes, Future] = {}
        self._server = ActionServer(
            _WithSteadyClock(node),
            SampleMotion,
            "~/sample_motion",
            self._execute,
            callback_group=group,
            cancel_callback=self._cancel,
            result_timeout=RESULT_KEPT,
        )

    def close(self) -> None:
        self._server.destroy()

    async def _execute(self, goal: ServerGoalHandle) -> SampleMotion.Result:
        result = await self._result(goal)
        if result.error_code == ErrorCode.NONE:
            goal.succeed()
        elif goal.is_cancel_requested:
            goal.canceled()
        else:
            goal.abort()
        return result

    async def _result(self, goal: ServerGoalHandle) -> SampleMotion.Result:
        if goal.is_cancel_requested:
            return error_response(SampleMotion.Result, ErrorCode.CANCELED, REASON)
        if len(self._running) >= MAX_RUNNING:
            reason = f"{len(self._running)} goals run already, at most {MAX_RUNNING} may"
            return error_response(SampleMotion.Result, ErrorCode.BUSY, f"{reason}: ask again later")
        if self._requests.engine is not None:
            self._requests.engine.frames.touch(stamp_of(goal.request))
        key = bytes(goal.goal_id.uuid)
        self._running[key] = self._requests.answer(
            "sample_motion",
            "~/sample_motion/_action/send_goal",
            SampleMotion.Result,
            lambda engine: sample_motion(engine, goal.request, _reporter(goal)),
        )
        try:
            return await self._running[key]
        finally:
            del self._running[key]

    def _cancel(self, goal: ServerGoalHandle) -> CancelResponse:
        future = self._running.get(bytes(goal.goal_id.uuid))
        if future is not None:
            self._requests.end(future, ErrorCode.CANCELED, REASON)
        return CancelResponse.ACCEPT


class _WithSteadyClock:
    """A node whose clock is steady: results expire even while /clock stands still."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._clock = Clock(clock_type=ClockType.STEADY_TIME)

    def get_clock(self) -> Clock:
        return self._clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._node, name)


def _reporter(goal: ServerGoalHandle) -> Callable[[int, int], None]:
    """Publishes feedback of points done and in all, not too often, and when all are done."""
    last = -REPORT_PERIOD

    def report(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done == total or now - last >= REPORT_PERIOD:
            last = now
            goal.publish_feedback(SampleMotion.Feedback(points_done=done, points_total=total))

    return report
