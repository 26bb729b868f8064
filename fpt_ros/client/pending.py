"""A question whose answer has not come yet."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import InvalidStateError
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    import rclpy.task

    from fpt_ros.client.calls import Call
    from fpt_ros.client.future import MotionFuture

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
        self.servers = 0
        """How many there were since it was sent, at least; 0: not sent yet."""
        self.state: rclpy.task.Future | None = None
        """The node's state, once it has been asked for."""
        self._read = read
        self._start = time.monotonic()

    @property
    def waited(self) -> float:
        """Seconds."""
        return time.monotonic() - self._start

    def must_be_sent_to(self, servers: int) -> bool:
        """Whether the call is new to one of so many servers, as when the node was started again.

        The end of the former node may not have been noticed, then there are more than before.
        """
        before, self.servers = self.servers, min(self.servers, servers)
        return not self.servers or servers > before

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
