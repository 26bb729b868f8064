# SPDX-License-Identifier: Apache-2.0
"""Images kept by their stamp, with what has been computed from them."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from typing import TYPE_CHECKING, Any

from fpt_ros.engine.errors import ErrorCode, RequestError, invalid

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from jaxtyping import UInt8

    from fpt_ros.engine.depth_image import Depth
    from fpt_ros.inference.context import ImageContext

Stamp = tuple[int, int]
"""Seconds and nanoseconds; (0, 0) means the newest image."""
NEWEST: Stamp = (0, 0)
ASKED_KEPT = 10.0  # seconds that an image is kept after a question about it
MAX_HOLD = 600.0  # seconds


class Frame:
    """One image. Decoded and embedded when first needed, each at most once, by one thread."""

    def __init__(
        self, header: Any, stamp: Stamp, decode: Callable[[], UInt8[np.ndarray, "h w 3"]]
    ) -> None:
        """`header` is for the answers; `decode` gives RGB, or ImageError if that cannot be."""
        self.header = header
        self.stamp = stamp
        self.context: ImageContext | None = None
        self.depth: Depth | None = None
        self.arrived = self.asked = self.held_until = time.monotonic()
        self._decode: Callable[[], UInt8[np.ndarray, "h w 3"]] | None = decode
        self._rgb: UInt8[np.ndarray, "h w 3"] | None = None

    @property
    def rgb(self) -> UInt8[np.ndarray, "h w 3"]:
        """The pixels; ImageError if they cannot be decoded."""
        if self._rgb is None:
            assert self._decode is not None
            self._rgb = self._decode()
            self._decode = None  # it holds the message
        return self._rgb

    @property
    def size(self) -> tuple[int, int]:
        """Width and height [px]; ImageError as rgb."""
        height, width = self.rgb.shape[:2]
        return width, height

    @property
    def text(self) -> str:
        """The stamp as it is written in messages."""
        return stamp_text(self.stamp)


class Frames:
    """Images by their stamp: the newest `capacity`, as many that were asked about, as many held.

    An image that was asked about stays for ASKED_KEPT seconds after the last question, so that a
    planner's next question finds it however fast the camera is. Safe to use from several threads.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._newest: dict[Stamp, Frame] = {}  # in order of arrival
        self._asked: dict[Stamp, Frame] = {}  # the one asked about last is the last
        self._held: dict[Stamp, Frame] = {}
        self._all = (self._newest, self._asked, self._held)
        self._lock = threading.Lock()

    def add(self, frame: Frame) -> None:
        """Keep a frame as the newest; one of the same stamp is replaced."""
        with self._lock:
            for kept in self._all:
                kept.pop(frame.stamp, None)
            self._newest[frame.stamp] = frame
            self._trim()

    def resize(self, capacity: int) -> None:
        with self._lock:
            self._capacity = capacity
            self._trim()

    def remove(self, frame: Frame) -> None:
        with self._lock:
            for kept in self._all:
                if kept.get(frame.stamp) is frame:
                    del kept[frame.stamp]

    def forget_features(self) -> None:
        """Let go of everything computed; it is computed again when needed."""
        with self._lock:
            for frame in itertools.chain(*(kept.values() for kept in self._all)):
                frame.context = None

    def all(self) -> list[Frame]:
        """Every frame that is kept, once."""
        with self._lock:
            frames = itertools.chain(*(kept.values() for kept in self._all))
            return list({id(frame): frame for frame in frames}.values())

    def newest(self) -> Frame | None:
        with self._lock:
            return next(reversed(self._newest.values()), None)

    def find(self, stamp: Stamp, future_is_newest: bool = False) -> Frame:
        """The frame of this stamp; from now on it counts as asked about.

        Args:
            future_is_newest: a stamp newer than that of the newest frame means that one, too.

        RequestError NO_IMAGE before the first image, IMAGE_NOT_KEPT for a stamp that is not there.
        """
        with self._lock:
            frame = self._find(stamp, future_is_newest)
            frame.asked = time.monotonic()
            self._asked.pop(frame.stamp, None)
            self._asked[frame.stamp] = frame
            self._trim()
            return frame

    def touch(self, stamp: Stamp) -> None:
        """Count a frame as asked about whose question waits; nothing if it is not kept."""
        if stamp != NEWEST:
            with contextlib.suppress(RequestError):
                self.find(stamp)

    def hold(self, stamp: Stamp, seconds: float) -> Frame:
        """Keep the frame of this stamp for so long from now on; for 0 seconds: no longer.

        NEWEST for 0 seconds changes nothing: it only tells which frame that is.

        RequestError as find; INVALID_REQUEST for seconds that are not allowed, BUSY if as many as
        the capacity are held already.
        """
        if not 0 <= seconds <= MAX_HOLD:
            raise invalid(f"seconds is {seconds}: must be in [0, {MAX_HOLD:g}]")
        with self._lock:
            self._trim()
            frame = self._find(stamp)
            if seconds and frame.stamp not in self._held and len(self._held) >= self._capacity:
                raise RequestError(
                    ErrorCode.BUSY,
                    f"{len(self._held)} images are held already: at most {self._capacity} may be "
                    "(parameter image_cache)",
                )
            if seconds or stamp != NEWEST:
                frame.held_until = time.monotonic() + seconds
                self._held[frame.stamp] = frame
                self._trim()
            return frame

    def _find(self, stamp: Stamp, future_is_newest: bool = False) -> Frame:
        newest = next(reversed(self._newest.values()), None)
        if newest is None:
            raise RequestError(ErrorCode.NO_IMAGE, "no image has arrived yet")
        if stamp == NEWEST or (future_is_newest and stamp > newest.stamp):
            return newest
        for kept in self._all:
            if stamp in kept:
                return kept[stamp]
        oldest = next(iter(self._newest.values()))
        raise RequestError(
            ErrorCode.IMAGE_NOT_KEPT,
            f"stamp {stamp_text(stamp)} is not kept: must be zero, that of one of the newest "
            f"{len(self._newest)} images, {oldest.text} to {newest.text} (image_cache is "
            f"{self._capacity}), of one asked about in the last {ASKED_KEPT:g} s, or of one that "
            "is held (~/hold_image)",
        )

    def _trim(self) -> None:
        now = time.monotonic()
        for frame in [frame for frame in self._held.values() if frame.held_until <= now]:
            del self._held[frame.stamp]
        for frame in [frame for frame in self._asked.values() if frame.asked + ASKED_KEPT <= now]:
            del self._asked[frame.stamp]
        for kept in (self._newest, self._asked):
            while len(kept) > self._capacity:
                del kept[next(iter(kept))]

    def __len__(self) -> int:
        return len(self._newest)


def stamp_text(stamp: Stamp) -> str:
    return f"{stamp[0]}.{stamp[1]:09d}"
