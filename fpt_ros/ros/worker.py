"""The one thread that computes: jobs in order of arrival, some of them newest-only."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


class Worker:
    """Runs jobs one after another in a thread of its own.

    A job with a `slot` replaces one that still waits in the same slot, so that a slow job is
    followed by the newest of what came meanwhile. Jobs must not raise; `on_fault` gets what one
    raises all the same, and the thread goes on.
    """

    def __init__(self, on_fault: Callable[[Exception], None]) -> None:
        self._on_fault = on_fault
        self._pending: dict[Hashable, Callable[[], None]] = {}
        self._tickets = itertools.count()
        self._stopped = False
        self._wakeup = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="fpt_worker", daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], None], slot: str | None = None, first: bool = False) -> bool:
        """Queue a job, `first` before all others; True if it replaced one waiting in its slot."""
        with self._wakeup:
            key = next(self._tickets) if slot is None else slot
            replaced = key in self._pending
            if first:
                self._pending.pop(key, None)
                self._pending = {key: job, **self._pending}
            else:
                self._pending[key] = job
            self._wakeup.notify()
        return replaced

    @property
    def waiting(self) -> int:
        """Jobs that wait."""
        return len(self._pending)

    def clear(self) -> None:
        """Forget the jobs that wait; the running one goes on."""
        with self._wakeup:
            self._pending.clear()

    def stop(self) -> None:
        """End the thread once its present job is done. Returns at once."""
        with self._wakeup:
            self._stopped = True
            self._pending.clear()
            self._wakeup.notify()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the thread to end; False if it did not within `timeout` seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._wakeup:
                self._wakeup.wait_for(lambda: self._pending or self._stopped)
                if self._stopped:
                    return
                job = self._pending.pop(next(iter(self._pending)))
            try:
                job()
            except Exception as error:
                self._on_fault(error)
            del job  # it may hold an image
