# SPDX-License-Identifier: Apache-2.0
"""Depth images, each kept with the frame that it belongs to by their stamps."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from fpt_ros.engine.errors import ErrorCode, RequestError, invalid
from fpt_ros.images import ImageError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float32

    from fpt_ros.engine.depth_image import Depth
    from fpt_ros.engine.frames import Frame, Frames, Stamp


class Depths:
    """Gives each frame the depth image of its stamp, or the nearest one within a tolerance.

    Either may arrive first. A frame keeps its depth as long as it is kept itself. Where no depth
    comes, nothing is kept and nothing is looked for. Safe to use from several threads.
    """

    def __init__(self, capacity: int) -> None:
        """`capacity`: depth images that wait for their frames."""
        self._waiting: deque[Depth] = deque(maxlen=capacity)
        self._lock = threading.Lock()

    def add(self, depth: Depth, frames: Frames, tolerance: float) -> None:
        """Keep a depth image, and give it to the frames that are there already."""
        with self._lock:
            self._waiting.append(depth)
        for frame in frames.all():
            _give(frame, depth, tolerance)

    def find(self, frame: Frame, tolerance: float) -> None:
        """Give a frame the depth that arrived before it."""
        with self._lock:
            waiting = list(self._waiting)
        for depth in waiting:
            _give(frame, depth, tolerance)


def depth_of(frame: Frame) -> Float32[np.ndarray, "h w"]:
    """Metres at each pixel of a frame, NaN for holes.

    RequestError NO_IMAGE where no depth has come for it, INVALID_REQUEST for one of another size,
    PREDICTION_FAILED for one that cannot be decoded.
    """
    if frame.depth is None:
        raise RequestError(
            ErrorCode.NO_IMAGE,
            f"no depth has arrived for image {frame.text}: the topic depth must have one within "
            "depth_tolerance of its stamp, registered to it",
        )
    try:
        metres = frame.depth.metres
    except ImageError as error:
        raise RequestError(ErrorCode.PREDICTION_FAILED, f"depth: {error}") from error
    height, width = metres.shape
    if (width, height) != frame.size:
        raise invalid(
            f"depth of image {frame.text} is {width} x {height}: must be as large as the image, "
            f"{frame.size[0]} x {frame.size[1]}, and registered to it"
        )
    return metres


def _give(frame: Frame, depth: Depth, tolerance: float) -> None:
    """Unless it is too far off, or what the frame has is nearer."""
    apart = _apart(frame.stamp, depth.stamp)
    held = frame.depth
    if apart <= tolerance and (held is None or apart <= _apart(frame.stamp, held.stamp)):
        frame.depth = depth


def _apart(one: Stamp, other: Stamp) -> float:
    """Seconds; whole ones first, as a float holds no nanoseconds of today's time."""
    return abs((one[0] - other[0]) + (one[1] - other[1]) * 1e-9)
