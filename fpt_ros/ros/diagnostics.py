"""What the node says about itself on /diagnostics, once a second."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fpt_ros.inference.predictor import ModelInfo

# Seconds after which something that happened no longer colours the status.
RECENT = 10.0
IMAGE_TIMEOUT = 5.0
RATE_WINDOW = 5.0
KINDS = ("predict_motion", "evaluate_pokes", "segment_motion", "sample_motion")


class Statistics:
    """Counts, rates and durations of the node since it was activated. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._times: dict[str, deque[float]] = {}
        self._durations: dict[str, deque[float]] = {}
        self._errors: dict[str, str] = {}
        self.started = time.monotonic()

    def count(self, name: str) -> None:
        """Count one event of this name, now."""
        with self._lock:
            self._counts[name] += 1
            self._times.setdefault(name, deque(maxlen=1000)).append(time.monotonic())

    def error(self, name: str, message: str) -> None:
        """Count one error and keep its message."""
        self.count(name)
        with self._lock:
            self._errors[name] = message

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Keep how long the block took; the last 200 count."""
        start = time.perf_counter()
        yield
        self.took(name, time.perf_counter() - start)

    def took(self, name: str, seconds: float) -> None:
        """Keep a duration; the last 200 count."""
        with self._lock:
            self._durations.setdefault(name, deque(maxlen=200)).append(seconds)

    def total(self, name: str) -> int:
        return self._counts[name]

    def last_error(self, name: str) -> str:
        return self._errors.get(name, "")

    def age(self, name: str) -> float:
        """Seconds since the last event of this name; infinite if there was none."""
        with self._lock:
            times = self._times.get(name)
            return time.monotonic() - times[-1] if times else float("inf")

    def rate(self, name: str) -> float:
        """Events a second over the last RATE_WINDOW seconds."""
        now = time.monotonic()
        with self._lock:
            recent = [t for t in self._times.get(name, ()) if now - t < RATE_WINDOW]
        return len(recent) / min(RATE_WINDOW, max(now - self.started, 1.0))

    def percentiles(self, name: str) -> str:
        """Median and 95th percentile as text [ms]."""
        with self._lock:
            durations = list(self._durations.get(name, ()))
        if not durations:
            return "none yet"
        p50, p95 = np.percentile(durations, (50, 95)) * 1000
        return f"{p50:.1f} / {p95:.1f}"


def status(
    name: str, state: str, model: ModelInfo | None, statistics: Statistics, waiting: int
) -> DiagnosticStatus:
    """One status of the node `name` (fully qualified) in lifecycle state `state`."""
    level, message = _judge(state, statistics)
    age = statistics.age("images")
    values = {
        "state": state,
        "checkpoint": model.checkpoint if model else "none",
        "sha256": model.sha256 if model else "none",
        "device": model.device if model else "none",
        "dtype": model.dtype if model else "none",
        "images received": str(statistics.total("images")),
        "image rate [Hz]": f"{statistics.rate('images'):.1f}",
        "age of newest image [s]": "none yet" if age == float("inf") else f"{age:.1f}",
        "images embedded": str(statistics.total("embedded")),
        "images and pokes dropped for newer ones": str(statistics.total("dropped")),
        "predictions": str(statistics.total("predictions")),
        "prediction rate [Hz]": f"{statistics.rate('predictions'):.1f}",
        "requests": str(statistics.total("requests")),
        "requests waiting": str(waiting),
        **{f"{kind} requests, p50 / p95 [ms]": _requests(kind, statistics) for kind in KINDS},
        "embed image p50 / p95 [ms]": statistics.percentiles("embed"),
        "query p50 / p95 [ms]": statistics.percentiles("query"),
        "messages refused": str(statistics.total("refused")),
        "last refusal": statistics.last_error("refused"),
        "requests answered with an error": str(statistics.total("request errors")),
        "failures": str(statistics.total("failures")),
        "last error": statistics.last_error("failures"),
    }
    return DiagnosticStatus(
        level=level,
        name=f"{name}: motion prediction",
        message=message,
        hardware_id=values["device"],
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )


def _requests(kind: str, statistics: Statistics) -> str:
    """How many there were, and how long the answers took."""
    return f"{statistics.total(kind)}, {statistics.percentiles(kind)}"


def _judge(state: str, statistics: Statistics) -> tuple[bytes, str]:
    if statistics.age("failures") < RECENT:
        return DiagnosticStatus.ERROR, statistics.last_error("failures")
    if state != "active":
        return DiagnosticStatus.OK, state
    age = min(statistics.age("images"), time.monotonic() - statistics.started)
    if age > IMAGE_TIMEOUT:
        return DiagnosticStatus.WARN, f"no image for {age:.0f} s"
    if statistics.age("refused") < RECENT:
        return DiagnosticStatus.WARN, f"message refused: {statistics.last_error('refused')}"
    return DiagnosticStatus.OK, "active"
