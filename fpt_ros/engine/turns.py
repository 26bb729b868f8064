# SPDX-License-Identifier: Apache-2.0
"""The one thread that computes: a step of each job in turn."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from fpt_ros.inference.steps import Steps


class Turns:
    """Advances jobs by turns, one step at a time, in a thread of its own.

    So a short job waits for a step of each of the others, however long those are. Jobs should not
    raise; `on_fault` gets what one raises all the same, and the others go on.
    """

    def __init__(self, on_fault: Callable[[Exception], None]) -> None:
        self._on_fault = on_fault
        self._jobs: deque[Steps[None]] = deque()
        self._running: Steps[None] | None = None  # the one whose step runs, unless it was cleared
        self._stopped = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="fpt_engine", daemon=True)
        self._thread.start()

    def submit(self, job: Steps[None]) -> None:
        """Queue a job behind the others' next steps."""
        with self._changed:
            self._jobs.append(job)
            self._changed.notify()

    def clear(self) -> None:
        """Forget all jobs; the step that runs is the last of its job."""
        with self._changed:
            self._jobs.clear()
            self._running = None

    def stop(self, timeout: float) -> bool:
        """End the thread after the present step; False if that takes longer than `timeout` s."""
        with self._changed:
            self._stopped = True
            self._jobs.clear()
            self._running = None
            self._changed.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._stopped)
                if self._stopped:
                    return
                job = self._running = self._jobs.popleft()
            goes_on = self._advance(job)
            with self._changed:
                if goes_on and self._running is job:
                    self._jobs.append(job)
                self._running = None
            del job  # it may hold an image

    def _advance(self, job: Steps[None]) -> bool:
        """Run one step; whether there are more."""
        try:
            next(job)
        except StopIteration:
            return False
        except Exception as error:
            self._on_fault(error)
            return False
        return True
