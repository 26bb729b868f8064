# SPDX-License-Identifier: Apache-2.0
"""Ending a training early and cleanly: on a signal, or when its time is up."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether the training is to end after the step it is at, and why.

    Args:
        hours: from now; None: only on a signal.
    """

    def __init__(self, hours: float | None = None) -> None:
        self._deadline = None if hours is None else time.monotonic() + 3600 * hours
        self._signal = ""

    @property
    def reason(self) -> str:
        """Empty as long as it is to go on."""
        if self._deadline is not None and time.monotonic() > self._deadline:
            return "its time is up"
        return self._signal

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM as the wish to stop; a second one ends the process at once."""
        before = {number: signal.getsignal(number) for number in SIGNALS}

        def note(number: int, _: FrameType | None) -> None:
            self._signal = signal.Signals(number).name
            restore()

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        for number in SIGNALS:
            signal.signal(number, note)
        try:
            yield
        finally:
            restore()
