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

    from jaxtyping import Bool, Float, Float64, UInt8

    from fpt_ros.images import Reading
    from fpt_ros.recordings.pokes_file import TimedPoke
    from fpt_ros.recordings.reading import Message

SIDE = 384
"""Images are followed at so many pixels a side, smaller ones at their own."""
STRETCH = 32
"""Frames that are followed at once."""
AHEAD = 5
"""Images: a lost point whose last motion would have taken it out of the picture by then left it."""
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
        self._seconds: list[float] = []
        self._found: list[Float64[np.ndarray, "p 2"]] = []

    def add(self, image: Message, seconds: float, reading: Reading) -> None:
        """The next image, so many seconds into the bag. One that cannot be read is like the last.

        Raises:
            ValueError: a poke begins on no point of it.
        """
        self._seconds.append(seconds)
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
            self._frames = []
        return np.stack(self._found) if self._found else np.zeros((0, len(self._pokes), 2))

    def losses(self, topic: str) -> list[str]:
        """A line for each poke that was not seen all the time that it holds: where, when, why."""
        found = self.positions()
        lines = []
        for number, poke in enumerate(self._pokes):
            asked = np.array([poke.holds(topic, seconds) for seconds in self._seconds], bool)
            lost = asked & np.isnan(found[:, number, 0])
            if asked.any() and not lost.any():
                continue
            where = f"the poke at ({poke.x:g}, {poke.y:g}) from {poke.start:g} s on {topic}"
            how = "is on no image: there is none while it holds"
            if asked.any():
                how = _loss(found[:, number], asked, self._size, self._seconds)
            lines.append(f"{where} {how}")
        return lines

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
) -> tuple[dict[str, Float[np.ndarray, "t p 2"]], list[str]]:
    """Positions, pixels, of each topic's followed pokes in each of its images; and a line for each
    poke that was lost.

    Args:
        images: all of the bag's in order, with the seconds into it.
    """
    followers = {topic: Follower(of) for topic, of in pokes.items() if of}
    for image, seconds in images:
        if image.topic in followers:
            followers[image.topic].add(image, seconds, reading)
    places = {topic: follower.positions() for topic, follower in followers.items()}
    return places, [line for topic, of in followers.items() for line in of.losses(topic)]


def _loss(
    places: Float[np.ndarray, "t 2"],
    asked: Bool[np.ndarray, " t"],
    size: np.ndarray,
    seconds: list[float],
) -> str:
    """When and why a poke was lost first, whether it was seen again, and what that cost.

    It left the picture if it would have, had it gone on as in its last images.
    """
    seen = ~np.isnan(places[:, 0])
    lost = asked & ~seen
    first = int(lost.argmax())
    last = places[max(first - AHEAD, 0) : first][seen[max(first - AHEAD, 0) : first]]
    ahead = last[-1] + AHEAD * np.diff(last, axis=0).mean(0) if len(last) > 1 else size / 2
    inside = np.all((ahead > -0.5) & (ahead < size - 0.5))
    why = "it is hidden, or looks different" if inside else "it left the picture"
    again = asked & seen & (np.arange(len(seen)) > first)
    then = f"seen again at {seconds[again.argmax()]:.3f} s" if again.any() else "not seen again"
    count = f"{lost.sum()} of its {asked.sum()} images are without it"
    return f"was lost at {seconds[first]:.3f} s ({why}), {then}: {count}"
