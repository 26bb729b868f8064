"""The action sample_motion: goals that wait for the worker, report and can be canceled.

Every goal is accepted. One that cannot be served is aborted, since only a result carries an error.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rclpy.action import ActionServer, CancelResponse
from rclpy.callback_groups import ReentrantCallbackGroup

from fpt_ros.action import SampleMotion
from fpt_ros.msg import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.action.server import ServerGoalHandle
    from rclpy.task import Future

    from fpt_ros.ros.node import FptNode
    from fpt_ros.ros.waiting import WaitingRoom

REPORT_PERIOD = 0.1  # s
REASON = "the goal was canceled"
MAX_RUNNING = 8  # each keeps what it has sampled so far, up to a gigabyte with the largest models
RESULT_KEPT = 60  # s that a caller has to fetch a result


class Goals:
    """The action server, which lives as long as the node: a goal is answered in every state."""

    def __init__(self, node: FptNode, room: WaitingRoom) -> None:
        self._room = room
        self._running: dict[bytes, Future] = {}
        self._server = ActionServer(
            node,
            SampleMotion,
            "~/sample_motion",
            self._execute,
            callback_group=ReentrantCallbackGroup(),
            cancel_callback=self._cancel,
            result_timeout=RESULT_KEPT,
        )

    def close(self) -> None:
        self._server.destroy()

    async def _execute(self, goal: ServerGoalHandle) -> SampleMotion.Result:
        if goal.is_cancel_requested:
            result = SampleMotion.Result(error_code=ErrorCode.CANCELED, error_msg=REASON)
        elif len(self._running) >= MAX_RUNNING:
            reason = f"{len(self._running)} goals run already: at most {MAX_RUNNING} may"
            result = SampleMotion.Result(error_code=ErrorCode.TOO_LARGE, error_msg=reason)
        else:
            key = bytes(goal.goal_id.uuid)
            self._running[key] = self._room.enter(
                "sample_motion",
                "~/sample_motion/_action/send_goal",
                SampleMotion.Result,
                lambda answers: answers.sample_motion(goal.request, _reporter(goal)),
            )
            result = await self._running[key]
            del self._running[key]
        if result.error_code == ErrorCode.NONE:
            goal.succeed()
        elif goal.is_cancel_requested:
            goal.canceled()
        else:
            goal.abort()
        return result

    def _cancel(self, goal: ServerGoalHandle) -> CancelResponse:
        future = self._running.get(bytes(goal.goal_id.uuid))
        if future is not None:
            self._room.turn_away(future, ErrorCode.CANCELED, REASON)
        return CancelResponse.ACCEPT


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
