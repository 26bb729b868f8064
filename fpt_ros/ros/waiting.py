"""Requests that wait for the worker, each with a future that its caller awaits."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

from rclpy.task import Future

from fpt_ros.msg import ErrorCode
from fpt_ros.ros.requests import error_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from fpt_ros.inference.steps import Steps
    from fpt_ros.ros.answers import Answers
    from fpt_ros.ros.node import FptNode
    from fpt_ros.ros.senders import Sender, Senders
    from fpt_ros.ros.worker import Worker

# More requests than any planner has in flight; each one that waits holds its message.
MAX_WAITING = 100


@dataclasses.dataclass(frozen=True)
class _Request:
    kind: str
    response_type: type
    sender: Sender
    since: float


class WaitingRoom:
    """All requests that are not answered yet, of all services and the action."""

    def __init__(self, node: FptNode, senders: Senders) -> None:
        self._node = node
        self._senders = senders
        self._worker: Worker | None = None
        self._answers: Answers | None = None
        self._waiting: dict[Future, _Request] = {}

    def open(self, worker: Worker, answers: Answers) -> None:
        """Let requests be computed from now on."""
        self._worker, self._answers = worker, answers

    def close(self) -> None:
        """Answer what waits or runs, and all later requests, with an error."""
        self._worker = self._answers = None
        reason = "the node was deactivated before the answer was there"
        for future in list(self._waiting):
            self.turn_away(future, ErrorCode.CANCELED, reason)

    @property
    def waiting(self) -> int:
        """Requests without an answer yet."""
        return len(self._waiting)

    def enter(
        self,
        kind: str,
        service: str,
        response_type: type,
        compute: Callable[[Answers], Steps[Any]],
    ) -> Future:
        """A future of what `compute` returns in the worker's thread, or of an error.

        Args:
            kind: of request, as it is counted.
            service: that it came by.
        """
        statistics = self._node.statistics
        statistics.count("requests")
        statistics.count(kind)
        future: Future = Future()
        sender = self._senders.note(service)
        request = _Request(kind, response_type, sender, time.perf_counter())
        worker, answers, waiting = self._worker, self._answers, len(self._waiting)
        self._waiting[future] = request
        if worker is None or answers is None:
            self.turn_away(future, ErrorCode.NOT_ACTIVE, self._node.how_to_activate())
        elif waiting >= MAX_WAITING:
            reason = f"{waiting} requests wait already: at most {MAX_WAITING} may"
            self.turn_away(future, ErrorCode.TOO_LARGE, reason)
        else:
            steps = answers.guarded(response_type, compute(answers))
            worker.submit(
                lambda: self._answer(future, steps), owner=lambda: frozenset(sender.clients)
            )
        return future

    def turn_away(self, future: Future, code: int, message: str) -> None:
        """Answer with an error, unless there is an answer; no further step is computed."""
        request = self._waiting.get(future)
        if request is not None:
            self._finish(future, error_response(request.response_type, code, message))

    def drop_vanished(self) -> None:
        """Turn requests away whose sender is gone."""
        for future, request in list(self._waiting.items()):
            if self._senders.gone(request.sender):
                self.turn_away(future, ErrorCode.CANCELED, "the client is gone")

    def _answer(self, future: Future, steps: Steps[Any]) -> Steps[None]:
        """The steps for as long as the answer is waited for."""
        while future in self._waiting:
            try:
                next(steps)
            except StopIteration as end:
                self._finish(future, end.value)
                return
            yield

    def _finish(self, future: Future, response: Any) -> None:
        """Complete a request, once, and wake the executor, which does not notice by itself."""
        request = self._waiting.pop(future, None)
        if request is None:
            return
        self._node.statistics.took(request.kind, time.perf_counter() - request.since)
        if response.error_code:
            self._node.statistics.count("request errors")
        future.set_result(response)
        executor = self._node.executor
        if executor is not None:
            executor.wake()
