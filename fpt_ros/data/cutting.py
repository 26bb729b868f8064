# SPDX-License-Identifier: Apache-2.0
"""From a source's frame times to clips, and from its frames to squares."""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import UInt8

GAP = 2.5
"""Images further apart than this many median intervals do not belong to one clip."""

MOST_SAID = 3
"""Of a source's steps back so many are told of one by one."""

CONTRAST = 8
"""Grey values between the darkest and the brightest hundredth of a clip's pixels, at least."""

SMALL, SUDDEN, SUDDEN_RATIO = 16, 20.0, 6.0
"""Between two shots the picture at this many pixels changes by so many grey values at least, and
by so many times the usual."""


@dataclass(frozen=True)
class Cut:
    """How clips are cut.

    size: side of the square frames [px], even. frames: in a clip. stride: every how many-th frame
    of the source is taken. rate: frames a second instead of a stride; the nearest frames count.
    """

    size: int = 512
    frames: int = 50
    stride: int = 1
    rate: float | None = None

    def __post_init__(self) -> None:
        if self.size < 16 or self.size % 2 or self.size > 4094:
            raise ValueError(f"size is {self.size}: must be even, 16 to 4094")
        if self.frames < 2:
            raise ValueError(f"frames is {self.frames}: must be at least 2")
        if self.stride < 1:
            raise ValueError(f"stride is {self.stride}: must be at least 1")
        if self.rate is not None and not 0 < self.rate < math.inf:
            raise ValueError(f"rate is {self.rate}: must be above 0 frames a second")
        if self.rate is not None and self.stride != 1:
            raise ValueError("stride and rate cannot both be given")

    def settings(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Recording:
    """What can be known of a source before its clips are made.

    times: of each frame, in seconds, in the order of arrival or decoding, which is never changed.
    breaks: numbers of frames that do not belong to the ones before. damaged: numbers of frames
    that cannot be trusted. notes: what a person should know of it.
    """

    times: list[float]
    breaks: set[int] = field(default_factory=set)
    damaged: set[int] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


def clip_indices(
    times: list[float], cut: Cut, breaks: Set[int] = frozenset(), damaged: Set[int] = frozenset()
) -> list[list[int]]:
    """The frames of each clip, clip after clip without overlap.

    A clip goes across no gap in time, no step back of the clock, no break and no damaged frame.

    Args:
        times, breaks, damaged: as in `Recording`.

    Raises ValueError, saying why, where the source gives no clip.
    """
    steps = np.diff(times)
    if not len(steps):
        raise ValueError("has only one frame")
    if not (steps > 0).any():
        raise ValueError("has no two frames in the order of their time")
    usual = float(np.median(steps[steps > 0]))
    if cut.rate and usual * cut.rate > 1.05:
        raise ValueError(f"has {1 / usual:.3g} frames/s: cannot give {cut.rate:g}")
    clips, longest = [], 0
    for start, end in _stretches(steps, usual, breaks, damaged):
        chosen = _chosen(times, start, end, cut)
        longest = max(longest, len(chosen))
        whole = len(chosen) // cut.frames * cut.frames
        clips += [chosen[at : at + cut.frames] for at in range(0, whole, cut.frames)]
    if not clips:
        raise ValueError(f"is too short: {longest} frames, a clip has {cut.frames}")
    return clips


def clip_rate(times: list[float], indices: list[int]) -> float:
    """Frames a second of a clip."""
    return (len(indices) - 1) / (times[indices[-1]] - times[indices[0]])


def square(frame: UInt8[np.ndarray, "h w 3"], size: int) -> UInt8[np.ndarray, "s s 3"]:
    """The central square, resized."""
    height, width = frame.shape[:2]
    side = min(height, width)
    top, left = round((height - side) / 2), round((width - side) / 2)
    middle = frame[top : top + side, left : left + side]
    how = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
    return np.ascontiguousarray(cv2.resize(middle, (size, size), interpolation=how), np.uint8)


def shot_change(frames: UInt8[np.ndarray, "t s s 3"]) -> int | None:
    """The first frame that begins another shot: nothing can be followed into it."""
    small = [cv2.resize(f, (SMALL, SMALL), interpolation=cv2.INTER_AREA) for f in frames]
    change = np.abs(np.diff(np.stack(small).astype(np.float32), axis=0)).mean((1, 2, 3))
    cut = (change > SUDDEN) & (change > SUDDEN_RATIO * np.median(change))
    return int(np.argmax(cut)) + 1 if cut.any() else None


def steps_back(times: list[float]) -> list[str]:
    """Where the clock goes back, for a person to read."""
    found = [n for n, (before, now) in enumerate(pairwise(times), 1) if now < before]
    said = [
        f"its clock goes back by {times[n - 1] - times[n]:.3f} s to {times[n]:.3f} s at frame {n}: "
        "no clip goes across"
        for n in found[:MOST_SAID]
    ]
    more = len(found) - len(said)
    return [*said, f"its clock goes back {more} times more"] if more else said


def damaged_runs(times: list[float], damaged: Set[int]) -> list[tuple[float, int]]:
    """Where damage begins [s], and how many frames it goes on for."""
    starts = sorted(number for number in damaged if number - 1 not in damaged)
    ends = sorted(number for number in damaged if number + 1 not in damaged)
    return [(times[start], end - start + 1) for start, end in zip(starts, ends, strict=True)]


def contrast(frames: UInt8[np.ndarray, "t s s 3"]) -> float:
    """Grey values between the darkest and the brightest hundredth of the pixels.

    Next to none: a lens cap, or something that is no picture. Nothing can be followed in it.
    """
    some = frames[:: max(len(frames) // 5, 1), ::2, ::2]
    low, high = np.percentile(some.mean(-1), (1, 99))
    return float(high - low)


def _stretches(
    steps: np.ndarray, usual: float, breaks: Set[int], damaged: Set[int]
) -> list[tuple[int, int]]:
    """Stretches [start, end) of good frames that belong together."""
    apart = np.flatnonzero((steps > GAP * usual) | (steps <= 0)) + 1
    around = {edge for number in damaged for edge in (number, number + 1)}
    edges = sorted({0, len(steps) + 1, *apart.tolist(), *breaks, *around})
    return [(start, end) for start, end in pairwise(edges) if start not in damaged]


def _chosen(times: list[float], start: int, end: int, cut: Cut) -> list[int]:
    """The frames of a stretch that are taken. A late frame is not taken twice."""
    if cut.rate is None:
        return list(range(start, end, cut.stride))
    stretch = np.asarray(times[start:end])
    ticks = np.arange(stretch[0], stretch[-1] + 0.5 / cut.rate, 1 / cut.rate)
    after = np.clip(np.searchsorted(stretch, ticks), 1, max(len(stretch) - 1, 1))
    after = np.minimum(after, len(stretch) - 1)
    before = np.maximum(after - 1, 0)
    nearer = np.where(ticks - stretch[before] <= stretch[after] - ticks, before, after)
    return (start + np.unique(nearer)).tolist()
