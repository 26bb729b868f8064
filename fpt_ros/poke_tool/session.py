# SPDX-License-Identifier: Apache-2.0
"""The pokes and query points that a person sets with clicks and handles. No ROS.

Everything is in pixels of the image, x right, y down, (0, 0) the centre of the top-left pixel.
"""

from __future__ import annotations

import numpy as np

Pixel = tuple[float, float]
FIRST_LENGTH = 0.08
"""Length of a poke that the menu adds, as a share of the image's width."""


class Session:
    """What has been set so far. An image must be known before anything can be."""

    def __init__(self) -> None:
        self.pokes: list[list[float]] = []
        """x, y, dx, dy of each."""
        self.started: Pixel | None = None
        """Where a poke begins whose end has not been clicked yet."""
        self.query_points: list[Pixel] = []
        self.clicks_ask = False
        """Whether clicks set query points instead of pokes."""
        self._size: tuple[int, int] | None = None

    def see(self, size: tuple[int, int]) -> None:
        """The size (width, height) of the images; what was set for another size is let go."""
        if self._size is not None and self._size != size:
            self.clear()
            self.query_points.clear()
        self._size = size

    def check(self, at: Pixel) -> None:
        """ValueError for a pixel that is not in the image, or if no image is known."""
        if self._size is None:
            raise ValueError("no image has arrived yet")
        width, height = self._size
        x, y = at
        if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
            raise ValueError(f"({x:.1f}, {y:.1f}) is not in the image of {width} x {height} pixels")

    def click(self, at: Pixel) -> str:
        """Set a query point, or begin or end a poke; says what happened. ValueError as check."""
        self.check(at)
        x, y = at = self._within(at)
        if self.clicks_ask:
            self.query_points.append(at)
            return f"asking about {len(self.query_points)} points"
        if self.started is None:
            self.started = at
            return f"a poke begins at ({x:.0f}, {y:.0f}): click where it ends"
        start_x, start_y = self.started
        self.started = None
        self.pokes.append([start_x, start_y, x - start_x, y - start_y])
        return f"poke {len(self.pokes)}: ({x - start_x:.0f}, {y - start_y:.0f}) pixels"

    def add(self) -> None:
        """A poke to the right in the middle of the image. ValueError if no image is known."""
        self.check((0, 0))
        assert self._size
        width, height = self._size
        offset = 0.08 * height * len(self.pokes)
        y = min(height / 2 + offset, height - 1.0)
        self.pokes.append([width / 2, y, FIRST_LENGTH * width, 0.0])

    def remove(self, index: int) -> None:
        if index < len(self.pokes):
            del self.pokes[index]

    def clear(self) -> None:
        """No pokes; query points stay."""
        self.pokes.clear()
        self.started = None

    def move_start(self, index: int, to: Pixel) -> None:
        """Move a poke as it is; kept within the image. Nothing for one that is not there."""
        if index < len(self.pokes):
            self.pokes[index][:2] = self._within(to)

    def move_end(self, index: int, to: Pixel) -> None:
        """Turn and stretch a poke. Nothing for one that is not there."""
        if index < len(self.pokes):
            x, y = self.pokes[index][:2]
            self.pokes[index][2:] = [to[0] - x, to[1] - y]

    def replace(self, pokes: np.ndarray) -> None:
        """These pokes [P, 4] instead of all that were set."""
        self.pokes = [[float(value) for value in poke] for poke in pokes]
        self.started = None

    def _within(self, at: Pixel) -> Pixel:
        """The nearest pixel of the image: the node refuses others."""
        if self._size is None:
            return at
        (x, y), (width, height) = at, self._size
        return min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)
