# SPDX-License-Identifier: Apache-2.0
"""A question whose answer has not come yet."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import InvalidStateError
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fpt_ros.client.results import MotionError
from fpt_ros.msg import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable

    import rclpy.task

    from fpt_ros.client.calls import Call
    from fpt_ros.client.future import MotionFuture
    from fpt_ros.client.servers import Server

T = TypeVar("T")


class Pending(Generic[T]):
    """A call, what reads its response, the future that gets that, and how long it may take."""

    def __init__(
        self, call: Call, read: Callable[[Any], T], timeout: float, future: MotionFuture[T]
    ) -> None:
        self.call = call
        self.timeout = timeout
        self.future = future
        self.answered = False
        self.sent_to: frozenset[Server] = frozenset()
        """Those who were there when it was sent; empty: not sent yet."""
        self.state: rclpy.task.Future | None = None
        """The node's state, once it has been asked for."""
        self._read = read
        self._start = time.monotonic()

    @property
    def waited(self) -> float:
        """Seconds."""
        return time.monotonic() - self._start

    def send(self, servers: frozenset[Server]) -> None:
        """Send the call to those who are there, unless they have it.

        A request is sent again to a node that was started again; a goal is not, it has failed. The
        end of the former node may not have been noticed, then there are more than before.
        """
        new = servers - self.sent_to
        lost = bool(self.sent_to) and (bool(new) or not servers)
        if lost and not self.call.repeatable:
            reason = f"{self.call.name}: the node ended before the answer was there"
            self.fail(MotionError(ErrorCode.CANCELED, reason))
        elif new and not self.future.done() and self.call.is_ready():
            self.sent_to = servers
            try:
                self.call.send(self.answer, self.fail)
            except Exception as error:
                self.fail(error)

    def answer(self, response: Any) -> None:
        self.answered = True
        try:
            result = self._read(response)
        except Exception as error:
            self.fail(error)
        else:
            with contextlib.suppress(InvalidStateError):  # canceled
                self.future.set_result(result)

    def fail(self, error: Exception) -> None:
        with contextlib.suppress(InvalidStateError):
            self.future.set_exception(error)
