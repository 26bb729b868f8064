# SPDX-License-Identifier: Apache-2.0
"""How tabs share the model: a turn for each tab, in which the most urgent of its jobs advances."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import Future, InvalidStateError
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fpt_ros.engine.turns import Turns
    from fpt_ros.inference.steps import Steps

URGENCY = ("predict", "open", "field", "plan", "sample")
"""Kinds of jobs: what follows the pointer comes first."""


class TabJobs:
    """The jobs of one tab, at most one of each kind; `turns` goes round the tabs."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._jobs: dict[str, tuple[Steps[Any], Future[Any]]] = {}
        self._has_turns = False
        self._closed = False
        self._lock = threading.Lock()

    def submit(self, kind: str, steps: Steps[Any]) -> Future[Any]:
        """The result of the steps to come, which replace those of the same kind.

        A cancelled future ends its job before the next step; after `close` it is cancelled at once.
        """
        future: Future[Any] = Future()
        with self._lock:
            if self._closed:
                future.cancel()
                return future
            if kind in self._jobs:
                self._jobs[kind][1].cancel()
            self._jobs[kind] = steps, future
            if not self._has_turns:
                self._has_turns = True
                self._turns.submit(self._advance())
        return future

    def close(self) -> None:
        """Forget all jobs; the step that runs is the last one."""
        with self._lock:
            self._closed = True
            for _, future in self._jobs.values():
                future.cancel()
            self._jobs.clear()

    def _advance(self) -> Steps[None]:
        while True:
            with self._lock:
                kind = next((kind for kind in URGENCY if kind in self._jobs), None)
                if kind is None:
                    self._has_turns = False
                    return
                job = self._jobs[kind]
            if _ended(*job):
                with self._lock:
                    if self._jobs.get(kind) is job:
                        del self._jobs[kind]
            yield


def _ended(steps: Steps[Any], future: Future[Any]) -> bool:
    """Run one step, unless the future is cancelled; whether it was the last one."""
    if future.cancelled():
        return True
    with contextlib.suppress(InvalidStateError):  # cancelled meanwhile
        try:
            next(steps)
            return False
        except StopIteration as end:
            future.set_result(end.value)
        except Exception as error:
            future.set_exception(error)
    return True
