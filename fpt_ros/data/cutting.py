"""From a source's frame times to clips, and from its frames to squares."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import UInt8

GAP = 2.5
"""Images further apart than this many median intervals do not belong to one clip."""

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


def clip_indices(times: list[float], cut: Cut) -> list[list[int]]:
    """The frames of each clip, clip after clip without overlap.

    Raises ValueError, saying why, where the source gives no clip.
    """
    steps = np.diff(times)
    if not len(steps):
        raise ValueError("has only one frame")
    usual = float(np.median(steps))
    if cut.rate and usual * cut.rate > 1.05:
        raise ValueError(f"has {1 / usual:.3g} frames/s: cannot give {cut.rate:g}")
    clips, longest = [], 0
    for start, end in _without_gaps(steps, usual):
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


def _without_gaps(steps: np.ndarray, usual: float) -> list[tuple[int, int]]:
    """Stretches [start, end) of frames without a gap between them."""
    breaks = (np.flatnonzero(steps > GAP * usual) + 1).tolist()
    edges = [0, *breaks, len(steps) + 1]
    return list(pairwise(edges))


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
