# SPDX-License-Identifier: Apache-2.0
"""Requests on their way: to a service, or as a goal to an action."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from fpt_ros.client.results import MotionError
from fpt_ros.msg import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.action import ActionClient
    from rclpy.action.client import ClientGoalHandle
    from rclpy.client import Client
    from rclpy.task import Future

    OnAnswer = Callable[[Any], None]
    OnError = Callable[[Exception], None]
    Progress = Callable[[int, int], None]


class Call(Protocol):
    """One request. Only the client's thread calls the methods."""

    name: str
    """Of the service or action."""
    service: str
    """The service that it is sent to."""
    repeatable: bool
    """Whether it may be sent again, to a node that was started again."""

    def is_ready(self) -> bool:
        """Whether there is a server."""

    def send(self, on_answer: OnAnswer, on_error: OnError) -> None:
        """Send it, maybe again; then one of the two gets the response or what went wrong."""

    def abandon(self) -> None:
        """Nobody waits for the answer any more."""


class ServiceCall:
    """A request to a service."""

    repeatable = True

    def __init__(self, client: Client, request: Any) -> None:
        self.name = self.service = client.srv_name
        self._client = client
        self._request = request
        self._reply: Future | None = None

    def is_ready(self) -> bool:
        return self._client.service_is_ready()

    def send(self, on_answer: OnAnswer, on_error: OnError) -> None:
        self.abandon()
        self._reply = self._client.call_async(self._request)
        self._reply.add_done_callback(lambda reply: on_answer(reply.result()))

    def abandon(self) -> None:
        if self._reply is not None:
            self._client.remove_pending_request(self._reply)


class GoalCall:
    """A goal of an action; `progress` gets the points done and the points in all."""

    repeatable = False

    def __init__(
        self, client: ActionClient, name: str, goal: Any, progress: Progress | None
    ) -> None:
        self.name = name
        self.service = f"{name}/_action/send_goal"
        self._client = client
        self._goal = goal
        self._progress = progress
        self._accepted: Future | None = None
        self._handle: ClientGoalHandle | None = None
        self._reply: Future | None = None
        self._abandoned = False

    def is_ready(self) -> bool:
        return self._client.server_is_ready()

    def send(self, on_answer: OnAnswer, on_error: OnError) -> None:
        self._on_answer, self._on_error = on_answer, on_error
        self._accepted = self._client.send_goal_async(
            self._goal, feedback_callback=self._on_feedback
        )
        self._accepted.add_done_callback(self._on_accepted)

    def abandon(self) -> None:
        self._abandoned = True
        if not self.is_ready():  # the node is gone: wait no more for what was sent to it
            for answer in (self._accepted, self._reply):
                if answer is not None:
                    answer.cancel()
        elif self._handle is not None:  # one that is not accepted yet is canceled then
            self._handle.cancel_goal_async()

    def _on_accepted(self, accepted: Future) -> None:
        if accepted.cancelled():
            return
        handle: Any = accepted.result()
        # Also of a goal that is refused or given up: with its result rclpy drops its feedback.
        self._reply = handle.get_result_async()
        if not handle.accepted:
            refusal = f"{self.name} refused the goal: is the node active?"
            self._on_error(MotionError(ErrorCode.NOT_ACTIVE, refusal))
            return
        self._handle = handle
        self._reply.add_done_callback(self._on_reply)
        if self._abandoned:
            handle.cancel_goal_async()

    def _on_reply(self, reply: Future) -> None:
        self._handle = None
        if not reply.cancelled():
            answer: Any = reply.result()
            self._on_answer(answer.result)

    def _on_feedback(self, message: Any) -> None:
        if self._progress is None or self._abandoned:
            return
        try:
            self._progress(message.feedback.points_done, message.feedback.points_total)
        except Exception as error:
            self._on_error(error)
