# SPDX-License-Identifier: Apache-2.0
"""Pokes that are carried along with what they were set on, by the built-in tracker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from fpt_ros.data.lucas_kanade import track_points
from fpt_ros.encodings import ImageError
from fpt_ros.recordings.cameras import decode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jaxtyping import Float, Float64, UInt8

    from fpt_ros.images import Reading
    from fpt_ros.recordings.pokes_file import TimedPoke
    from fpt_ros.recordings.reading import Message

SIDE = 384
"""Images are followed at so many pixels a side, smaller ones at their own."""
STRETCH = 32
"""Frames that are followed at once."""
AROUND = 12
"""Columns and rows of the points round about, by whose motion a lost point goes on."""


class Follower:
    """Positions of one camera's followed pokes, image by image."""

    def __init__(self, pokes: list[TimedPoke]) -> None:
        self._pokes = pokes
        self._nowhere = np.full((len(pokes), 2), np.nan)
        self._at = self._nowhere  # now, [0, 1]; NaN: not begun, or lost
        self._size = np.ones(2)
        self._begun = np.zeros(len(pokes), bool)
        self._frames: list[UInt8[np.ndarray, "s s 3"]] = []
        self._new: list[np.ndarray] = []  # of each waiting frame, what begins there
        self._found: list[Float64[np.ndarray, "p 2"]] = []

    def add(self, image: Message, seconds: float, reading: Reading) -> None:
        """The next image, so many seconds into the bag. One that cannot be read is like the last.

        Raises:
            ValueError: a poke begins on no point of it.
        """
        try:
            rgb = decode(image, reading)[1]
        except ImageError:
            if not self._frames:
                self._found.append(self._nowhere)
                return
            small = self._frames[-1]
        else:
            self._size = np.array([rgb.shape[1], rgb.shape[0]])
            side = len(self._frames[-1]) if self._frames else min(SIDE, max(rgb.shape))
            small = cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA)
        new = self._nowhere.copy()
        for number, poke in enumerate(self._pokes):
            if not self._begun[number] and poke.holds(image.topic, seconds):
                self._begun[number] = True
                new[number] = (np.array([poke.x, poke.y]) + 0.5) / self._size
        if not np.all((new >= 0) & (new <= 1) | np.isnan(new)):
            width, height = self._size
            raise ValueError(f"a poke to follow is not on the image of {width} x {height} pixels")
        self._frames.append(small)
        self._new.append(new)
        if len(self._frames) > STRETCH:
            self._follow()

    def positions(self) -> Float[np.ndarray, "t p 2"]:
        """Of each image, where each poke is, pixels; NaN where it is not, or cannot be seen."""
        if self._frames:
            self._follow()
            self._found.append(self._last)
        return np.stack(self._found) if self._found else np.zeros((0, len(self._pokes), 2))

    def _follow(self) -> None:
        """Follow through the waiting frames. The last begins the next stretch."""
        frames, new = np.stack(self._frames), np.stack(self._new)
        new[0] = np.where(np.isnan(new[0]), self._at, new[0])
        number, poke = np.nonzero(~np.isnan(new[..., 0]))
        asked = np.column_stack([number, new[number, poke]]).astype(float)
        grid = (np.arange(AROUND) + 0.5) / AROUND
        around = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
        around = np.column_stack([np.zeros(len(around)), around])
        places = np.full((len(frames), len(self._pokes), 2), np.nan)
        if len(asked):
            tracks, visible = track_points(frames, np.concatenate([asked, around]))
            for row, (first, of) in enumerate(zip(number, poke, strict=True)):
                seen = visible[first:, row, None]
                places[first:, of] = np.where(seen, tracks[first:, row], np.nan)
        pixels = places * self._size - 0.5
        self._found += list(pixels[:-1])
        self._last = pixels[-1]
        self._at = places[-1]
        self._frames, self._new = self._frames[-1:], [self._nowhere]


def follow(
    images: Iterable[tuple[Message, float]],
    pokes: dict[str, list[TimedPoke]],
    reading: Reading,
) -> dict[str, Float[np.ndarray, "t p 2"]]:
    """Positions, pixels, of each topic's followed pokes in each of its images.

    Args:
        images: all of the bag's in order, with the seconds into it.
    """
    followers = {topic: Follower(of) for topic, of in pokes.items() if of}
    for image, seconds in images:
        if image.topic in followers:
            followers[image.topic].add(image, seconds, reading)
    return {topic: follower.positions() for topic, follower in followers.items()}
