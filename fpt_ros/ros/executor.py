# SPDX-License-Identifier: Apache-2.0
"""An executor of two threads: one for large messages, one for all that must answer at once."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any

from rclpy.executors import ShutdownException, SingleThreadedExecutor

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.callback_groups import CallbackGroup
    from rclpy.executors import TimeoutObject
    from rclpy.task import Task


class TwoThreadExecutor(SingleThreadedExecutor):
    """As SingleThreadedExecutor, but the callbacks of one group run in a thread of their own.

    rclpy makes a Python object of each poke, a second for some 100,000: so long nothing else would
    be answered, whatever the callback then does.
    """

    def __init__(self, group: CallbackGroup, on_fault: Callable[[Exception], None]) -> None:
        """`on_fault` gets what a callback of either thread raises; the others go on."""
        super().__init__()
        self._group = group
        self._on_fault = on_fault
        self._queued: set[Task] = set()
        self._queue: queue.SimpleQueue[Task] = queue.SimpleQueue()
        threading.Thread(target=self._run_group, name="fpt_requests", daemon=True).start()

    def spin_once(self, timeout_sec: float | TimeoutObject | None = None) -> None:
        """Run the next callback, or hand it to the group's thread."""
        entity: Any
        try:
            callback, entity, _ = self.wait_for_ready_callbacks(timeout_sec=timeout_sec)
        except ShutdownException:
            return
        if entity is None or entity.callback_group is not self._group:
            self._run(callback)
        elif callback not in self._queued:  # one that waits for its turn is found ready again
            self._queued.add(callback)
            self._queue.put(callback)

    def _run_group(self) -> None:
        while True:
            callback = self._queue.get()
            self._queued.discard(callback)
            self._run(callback)

    def _run(self, callback: Task) -> None:
        callback()
        error = callback.exception()
        if isinstance(error, Exception):
            self._on_fault(error)
