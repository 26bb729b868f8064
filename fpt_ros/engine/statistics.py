# SPDX-License-Identifier: Apache-2.0
"""What happened since the node was activated: counts, rates, durations, the last fault."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE_WINDOW = 5.0  # seconds
EVENTS_KEPT = 1000  # of each name, for rates
DURATIONS_KEPT = 200


class Statistics:
    """Thread-safe. Times are those of a steady clock: the node's may stand still or jump."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.fault = ""
        """What failed last, a transition or a prediction; empty once one succeeds."""
        self.restart()

    def restart(self) -> None:
        """Count from zero, as at an activation. A fault is kept."""
        with self._lock:
            self._counts: Counter[str] = Counter()
            self._times: dict[str, deque[float]] = {}
            self._durations: dict[str, deque[float]] = {}
            self.started = time.monotonic()
            self.last_refusal = ""

    def count(self, name: str) -> None:
        """Count one event of this name, now."""
        with self._lock:
            self._counts[name] += 1
            self._times.setdefault(name, deque(maxlen=EVENTS_KEPT)).append(time.monotonic())

    def refused(self, reason: str) -> None:
        """A message could not be used."""
        self.count("refused")
        self.last_refusal = reason

    def failed(self, reason: str) -> None:
        """A transition or a prediction failed."""
        self.count("failures")
        self.fault = reason

    def succeeded(self) -> None:
        """A transition or a prediction succeeded: the last fault is over."""
        self.fault = ""

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Keep how long the block took."""
        start = time.perf_counter()
        yield
        self.took(name, time.perf_counter() - start)

    def took(self, name: str, seconds: float) -> None:
        """Keep a duration."""
        with self._lock:
            self._durations.setdefault(name, deque(maxlen=DURATIONS_KEPT)).append(seconds)

    def total(self, name: str) -> int:
        return self._counts[name]

    def age(self, name: str) -> float:
        """Seconds since the last event of this name; infinite if there was none."""
        with self._lock:
            times = self._times.get(name)
            return time.monotonic() - times[-1] if times else math.inf

    def rate(self, name: str) -> float:
        """Events a second over the last RATE_WINDOW seconds."""
        now = time.monotonic()
        with self._lock:
            recent = [t for t in self._times.get(name, ()) if now - t < RATE_WINDOW]
        return len(recent) / min(RATE_WINDOW, max(now - self.started, 1.0))

    def percentiles(self, name: str) -> str:
        """Median and 95th percentile of the durations as text [ms]."""
        with self._lock:
            durations = list(self._durations.get(name, ()))
        if not durations:
            return "none yet"
        p50, p95 = np.percentile(durations, (50, 95)) * 1000
        return f"{p50:.1f} / {p95:.1f}"
