# SPDX-License-Identifier: Apache-2.0
"""Plans the poke that brings a point somewhere, in a thread of its own."""

from __future__ import annotations

import functools
import queue
import threading
from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.client import MotionClient, MotionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rclpy.node import Node

MIN_REACH = 40.0
"""Pixels: pokes that are tried may be so long, or half as long again as the way wanted."""
MIN_TOLERANCE = 5.0
"""Pixels, or a tenth of the way wanted."""


class Plan:
    """What came of a request: pokes [P, 4], and what to tell the person."""

    def __init__(self, pokes: np.ndarray, text: str) -> None:
        self.pokes, self.text = pokes, text


class PlanThread:
    """Asks the node `fpt` for the best poke; one plan at a time."""

    def __init__(self, node: Node) -> None:
        self._client = MotionClient(node)
        self._done: queue.SimpleQueue[Plan] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def close(self) -> None:
        self._client.close()

    def start(self, poke: Sequence[float], size: tuple[int, int]) -> str:
        """Look for the poke that moves the start of this one to its end; says so.

        `size` is that of the image (width, height): it may be touched anywhere.
        """
        if self._thread is not None and self._thread.is_alive():
            return "a plan is being made: wait for it"
        self._thread = threading.Thread(target=self._work, args=(poke, size), daemon=True)
        self._thread.start()
        return "planning ..."

    def take(self) -> Plan | None:
        """A plan that is done, once."""
        try:
            return self._done.get_nowait()
        except queue.Empty:
            return None

    def _work(self, poke: Sequence[float], size: tuple[int, int]) -> None:
        try:
            self._done.put(self._plan(np.asarray(poke, float), size))
        except (MotionError, ValueError, TimeoutError, RuntimeError) as error:
            self._done.put(Plan(np.zeros((0, 4)), f"no plan: {error}"))

    def _plan(self, poke: np.ndarray, size: tuple[int, int]) -> Plan:
        from fpt_ros.planning import plan_poke  # it takes seconds to import

        point, way = poke[:2], poke[2:]
        length = float(np.linalg.norm(way))
        tolerance = max(MIN_TOLERANCE, 0.1 * length)
        stamp = self._client.hold().stamp
        best = plan_poke(
            functools.partial(self._client.evaluate, stamp=stamp),
            [point],
            [way],
            stay=[],
            touchable=np.ones((size[1], size[0]), bool),
            reach=max(MIN_REACH, 1.5 * length),
            tolerance=tolerance,
            plans=1,
        )[0]
        if not best.feasible:
            return Plan(np.zeros((0, 4)), f"no plan: {best.reason}")
        share = 100 * float(best.probability[0])
        return Plan(best.pokes, f"planned: {share:.0f} % end within {tolerance:.0f} px")
