# SPDX-License-Identifier: Apache-2.0
"""Requests that wait for the engine, each with a future that its caller awaits."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

from rclpy.task import Future

from fpt_ros.engine.errors import ErrorCode, RequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from fpt_ros.engine.engine import Engine
    from fpt_ros.engine.statistics import Statistics
    from fpt_ros.engine.turns import Turns
    from fpt_ros.inference.steps import Steps

# More requests than any planner has in flight; each one that waits holds its message.
MAX_WAITING = 100
GRACE = 1.0  # seconds in which the client of a new request must become known


@dataclasses.dataclass(frozen=True)
class Request:
    """What is known of a request while it waits."""

    kind: str
    service: str
    response_type: type
    since: float


class Requests:
    """All requests that are not answered yet, of all services and the action."""

    def __init__(
        self,
        turns: Turns,
        statistics: Statistics,
        why_inactive: Callable[[], str],
        on_fault: Callable[[Exception], None],
        wake: Callable[[], None],
    ) -> None:
        """`wake` wakes the executor, which does not notice by itself that a future is done."""
        self.engine: Engine | None = None
        """Set while the node is active."""
        self._turns = turns
        self._statistics = statistics
        self.why_inactive = why_inactive
        self._on_fault = on_fault
        self._wake = wake
        self._waiting: dict[Future, Request] = {}

    @property
    def waiting(self) -> int:
        """Requests without an answer yet."""
        return len(self._waiting)

    def answer(
        self,
        kind: str,
        service: str,
        response_type: type,
        compute: Callable[[Engine], Steps[Any]],
    ) -> Future:
        """A future of what `compute` returns in the engine's thread, or of an error.

        Args:
            kind: of request, as it is counted.
            service: whose clients may have sent it.
        """
        self._statistics.count("requests")
        self._statistics.count(kind)
        future: Future = Future()
        waiting = len(self._waiting)
        self._waiting[future] = Request(kind, service, response_type, time.monotonic())
        if self.engine is None:
            self.end(future, ErrorCode.NOT_ACTIVE, self.why_inactive())
        elif waiting >= MAX_WAITING:
            reason = f"{waiting} requests wait already, at most {MAX_WAITING} may: ask again later"
            self.end(future, ErrorCode.BUSY, reason)
        else:
            self._turns.submit(self._compute(future, compute(self.engine)))
        return future

    def end(self, future: Future, code: ErrorCode, message: str) -> None:
        """Answer with an error, unless there is an answer; no further step is computed."""
        request = self._waiting.get(future)
        if request is not None:
            self._finish(future, error_response(request.response_type, code, message))

    def end_all(self, message: str) -> None:
        """Answer what waits or runs with CANCELED."""
        for future in list(self._waiting):
            self.end(future, ErrorCode.CANCELED, message)

    def end_without_client(self, count_clients: Callable[[str], int]) -> None:
        """End requests of services that have no client left."""
        for future, request in list(self._waiting.items()):
            if time.monotonic() - request.since > GRACE and not count_clients(request.service):
                self.end(future, ErrorCode.CANCELED, "the client is gone")

    def _compute(self, future: Future, steps: Steps[Any]) -> Steps[None]:
        """The steps for as long as the answer is waited for."""
        try:
            while future in self._waiting:
                try:
                    next(steps)
                except StopIteration as end:
                    self._finish(future, end.value)
                    return
                yield
        except RequestError as error:
            self.end(future, error.code, str(error))
        except Exception as error:
            self._on_fault(error)
            self.end(future, ErrorCode.PREDICTION_FAILED, f"{type(error).__name__}: {error}")

    def _finish(self, future: Future, response: Any) -> None:
        """Complete a request, once."""
        request = self._waiting.pop(future, None)
        if request is None:
            return
        self._statistics.took(request.kind, time.monotonic() - request.since)
        if response.error_code:
            self._statistics.count("request errors")
        future.set_result(response)
        self._wake()


def error_response(response_type: type, code: ErrorCode, message: str) -> Any:
    """An empty response of a service, or result of an action, with an error."""
    response = response_type(error_code=int(code), error_msg=message)
    if hasattr(response, "best"):
        response.best = -1
    return response
