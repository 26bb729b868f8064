"""The one thread that computes: a step for each owner of jobs in turn, some jobs newest-only."""

from __future__ import annotations

import dataclasses
import itertools
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from fpt_ros.inference.steps import Steps

OWNERS_REMEMBERED = 1000


@dataclasses.dataclass(eq=False)
class _Job:
    start: Callable[[], Steps[None] | None]
    slot: str | None
    owner: Callable[[], Hashable]
    steps: Steps[None] | None = None
    """Once it has begun."""


class Worker:
    """Advances jobs by turns, one step at a time, in a thread of its own.

    A job is a function that returns its steps, or does all its work and returns None. The turns go
    round the owners, and for each owner round its jobs: neither a long job nor an owner of many
    jobs holds others up for longer than a step of each owner. A job with a `slot` replaces one that
    has not begun in the same slot, so that a slow job is followed by the newest of what came
    meanwhile; jobs with slots are done one after the other. Jobs must not raise; `on_fault` gets
    what one raises all the same, and the thread goes on.
    """

    def __init__(self, on_fault: Callable[[Exception], None]) -> None:
        self._on_fault = on_fault
        self._queue: list[_Job] = []  # an owner's in the order of their next steps
        self._last_turns: dict[Hashable, int] = {}  # of each owner, the latest last
        self._turns = itertools.count(1)
        self._running: _Job | None = None  # the one whose step runs, unless it was cleared
        self._stopped = False
        self._wakeup = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="fpt_worker", daemon=True)
        self._thread.start()

    def submit(
        self,
        start: Callable[[], Steps[None] | None],
        slot: str | None = None,
        first: bool = False,
        owner: Callable[[], Hashable] = lambda: None,
    ) -> bool:
        """Queue a job, `first` before its owner's others; True if it replaced one in its slot.

        `owner` is asked before each turn, in the worker's thread: it may become known later.
        """
        job = _Job(start, slot, owner)
        with self._wakeup:
            waiting = [old for old in self._queue if old.steps is None]
            replaced = [old for old in waiting if slot is not None and old.slot == slot]
            if replaced and not first:
                self._queue[self._queue.index(replaced[0])] = job
            else:
                self._queue = [old for old in self._queue if old not in replaced]
                self._queue.insert(0 if first else len(self._queue), job)
            self._wakeup.notify()
        return bool(replaced)

    def clear(self) -> None:
        """Forget all jobs; the step that runs is the last of its job."""
        with self._wakeup:
            self._queue.clear()
            self._running = None

    def stop(self) -> None:
        """End the thread once the present step is done. Returns at once."""
        with self._wakeup:
            self._stopped = True
            self._queue.clear()
            self._running = None
            self._wakeup.notify()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the thread to end; False if it did not within `timeout` seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._wakeup:
                self._wakeup.wait_for(lambda: self._queue or self._stopped)
                if self._stopped:
                    return
                job = self._running = self._next()
            goes_on = self._advance(job)
            with self._wakeup:
                if goes_on and self._running is job:
                    self._queue.append(job)
                self._running = None
            del job  # it may hold an image

    def _next(self) -> _Job:
        in_slots = any(job.slot is not None and job.steps is not None for job in self._queue)
        heads: dict[Hashable, _Job] = {}
        for job in self._queue:
            if job.steps is not None or job.slot is None or not in_slots:
                heads.setdefault(job.owner(), job)
        owner = min(heads, key=lambda owner: self._last_turns.get(owner, 0))
        self._last_turns.pop(owner, None)
        self._last_turns[owner] = next(self._turns)
        if len(self._last_turns) > OWNERS_REMEMBERED:
            del self._last_turns[next(iter(self._last_turns))]
        self._queue.remove(heads[owner])
        return heads[owner]

    def _advance(self, job: _Job) -> bool:
        """Run one step; whether there are more."""
        try:
            if job.steps is None:
                job.steps = job.start()
            if job.steps is None:
                return False
            next(job.steps)
        except StopIteration:
            return False
        except Exception as error:
            self._on_fault(error)
            return False
        return True
