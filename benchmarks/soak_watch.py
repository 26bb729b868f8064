# SPDX-License-Identifier: Apache-2.0
"""What the soak sees of the node from outside: memory, threads, files, log, and its promptness."""

from __future__ import annotations

import os
import re
import statistics
import time
from collections import Counter, defaultdict
from pathlib import Path

from rcl_interfaces.srv import GetParameters
from rclpy.node import Node
from soak_roles import NAMESPACE

CALL_RATE = 5.0  # Hz
MAX_WAITING = 8  # calls; rclpy's parameter services keep ten, and more may come of the faults
LOGGED = re.compile(r"\[(DEBUG|INFO|WARN|ERROR|FATAL)\] \[(\d+)\.\d+\]")


class Watch:
    """Calls get_parameters and looks at the process, once the node runs."""

    def __init__(self, node: Node, pid: int) -> None:
        self._process = Path(f"/proc/{pid}")
        self._client = node.create_client(GetParameters, f"{NAMESPACE}/fpt/get_parameters")
        self._waiting: set[float] = set()
        self._times: list[float] = []
        self._seen: list[tuple[float, int, int]] = []
        self._warm = 0
        self.fault = ""
        """What is injected at present."""
        self.longest: dict[str, float] = defaultdict(float)
        """For each fault the longest call of get_parameters that began during it, seconds."""
        self.most: dict[str, float] = defaultdict(float)
        """For each fault the most memory, MB."""
        self._timers = [
            node.create_timer(1 / CALL_RATE, self._call, autostart=False),
            node.create_timer(1.0, self._look, autostart=False),
        ]

    def start(self) -> None:
        """Begin: the node runs and is known."""
        self._look()
        for timer in self._timers:
            timer.reset()

    def round_ended(self) -> None:
        """All faults were there: what was seen before does not count for growth."""
        self._warm = self._warm or len(self._seen)

    def end(self) -> None:
        """Look no more, and wait for what was asked."""
        for timer in self._timers:
            timer.cancel()
        give_up = time.monotonic() + 30.0
        while self._waiting and time.monotonic() < give_up:
            time.sleep(0.1)

    @property
    def unanswered(self) -> int:
        return len(self._waiting)

    @property
    def growth(self) -> float:
        """Megabytes, from the end of the first round to the end."""
        warm, last = self._medians()[1:]
        return last[0] - warm[0]

    def report(self) -> str:
        """Lines of a table."""
        start, warm, last = self._medians()
        rows = zip(
            ("resident memory [MB]", "threads", "open files"), start, warm, last, strict=True
        )
        times = sorted(1000 * seconds for seconds in self._times) or [0.0]
        return "\n".join(
            [
                f"get_parameters, {CALL_RATE:.0f} a second: {len(times)} answered, median "
                f"{statistics.median(times):.0f} ms, 99% within "
                f"{times[int(0.99 * len(times))]:.0f} ms, longest {times[-1]:.0f} ms.",
                "\n| the process | at the start | after the first round | at the end |",
                "| --- | --- | --- | --- |",
                *(f"| {name} | {a:.0f} | {b:.0f} | {c:.0f} |" for name, a, b, c in rows),
                "",
            ]
        )

    def _medians(self) -> list[tuple[float, ...]]:
        """At the start, after the first round (a tenth of the rest), over the last tenth."""
        rest = self._seen[self._warm :] or self._seen
        tenth = max(1, len(rest) // 10)
        parts = self._seen[:1], rest[:tenth], rest[-tenth:]
        return [tuple(map(statistics.median, zip(*part, strict=True))) for part in parts]

    def _look(self) -> None:
        try:
            pages = int((self._process / "statm").read_text().split()[1])
            tasks, files = (len(list((self._process / name).iterdir())) for name in ("task", "fd"))
        except OSError:  # it has ended
            return
        memory = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
        self._seen.append((memory, tasks, files))
        self.most[self.fault] = max(self.most[self.fault], memory)

    def _call(self) -> None:
        if len(self._waiting) >= MAX_WAITING:
            return
        sent, fault = time.monotonic(), self.fault
        self._waiting.add(sent)

        def answered(_: object) -> None:
            self._waiting.discard(sent)
            self._times.append(time.monotonic() - sent)
            self.longest[fault] = max(self.longest[fault], self._times[-1])

        request = GetParameters.Request(names=["grid"])
        self._client.call_async(request).add_done_callback(answered)


def failures_logged(log: str) -> int:
    """The most lines of warnings and errors in a minute, tracebacks' lines counted."""
    minutes: Counter[int] = Counter()
    minute, fails = 0, False
    for line in log.splitlines():
        found = LOGGED.match(line)
        if found:
            minute, fails = int(found[2]) // 60, found[1] not in ("DEBUG", "INFO")
        minutes[minute] += fails
    return max(minutes.values(), default=0)
