"""The newest images, kept by their stamp, with what has been computed from them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from fpt_ros.images import (
    DEFAULT,
    ImageError,
    Reading,
    check_compressed,
    check_image,
    compressed_to_rgb,
    image_to_rgb,
)
from fpt_ros.msg import ErrorCode
from fpt_ros.ros.conversions import stamp_text
from fpt_ros.ros.requests import RequestError

if TYPE_CHECKING:
    import numpy as np
    from builtin_interfaces.msg import Time
    from jaxtyping import UInt8
    from sensor_msgs.msg import CompressedImage, Image

    from fpt_ros.inference.predictor import ImageContext

Key = tuple[int, int]


class Frame:
    """One image. Decoded and embedded by the worker when first needed, each at most once."""

    def __init__(self, message: Image | CompressedImage, reading: Reading = DEFAULT) -> None:
        """ImageError if the message is refused. Nothing is decoded."""
        self.compressed = not hasattr(message, "encoding")
        self._reading = reading
        if self.compressed:
            check_compressed(message, reading)
        else:
            check_image(message, reading)
        self.header = message.header
        self.context: ImageContext | None = None
        self._message: Image | CompressedImage | None = message
        self._rgb: UInt8[np.ndarray, "h w 3"] | None = None

    @property
    def key(self) -> Key:
        return self.header.stamp.sec, self.header.stamp.nanosec

    @property
    def rgb(self) -> UInt8[np.ndarray, "h w 3"]:
        """The pixels; ImageError if they cannot be decoded."""
        if self._rgb is None:
            assert self._message is not None
            convert = compressed_to_rgb if self.compressed else image_to_rgb
            self._rgb = convert(self._message, self._reading)
            self._message = None
        return self._rgb

    @property
    def size(self) -> tuple[int, int]:
        """Width and height [px]."""
        height, width = self.rgb.shape[:2]
        return width, height


class Frames:
    """The newest `capacity` images in order of arrival. Safe to use from several threads."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._frames: dict[Key, Frame] = {}
        self._lock = threading.Lock()

    def add(self, frame: Frame) -> None:
        """Keep a frame; one of the same stamp is replaced, the oldest is let go."""
        with self._lock:
            self._frames.pop(frame.key, None)
            self._frames[frame.key] = frame
            self._trim()

    def resize(self, capacity: int) -> None:
        with self._lock:
            self._capacity = capacity
            self._trim()

    def remove(self, frame: Frame) -> None:
        with self._lock:
            if self._frames.get(frame.key) is frame:
                del self._frames[frame.key]

    def clear(self) -> None:
        with self._lock:
            self._frames.clear()

    def forget_features(self) -> None:
        """Let go of everything computed; it is computed again when needed."""
        with self._lock:
            for frame in self._frames.values():
                frame.context = None

    def newest(self) -> Frame | None:
        with self._lock:
            return next(reversed(self._frames.values()), None)

    def find(self, stamp: Time) -> Frame:
        """The frame of this stamp, the newest for zero.

        RequestError NO_IMAGE before the first image, IMAGE_NOT_KEPT for a stamp that is not there.
        """
        with self._lock:
            if not self._frames:
                raise RequestError(ErrorCode.NO_IMAGE, "no image has arrived yet")
            if not (stamp.sec or stamp.nanosec):
                return next(reversed(self._frames.values()))
            frame = self._frames.get((stamp.sec, stamp.nanosec))
            if frame is None:
                raise RequestError(ErrorCode.IMAGE_NOT_KEPT, self._not_kept(stamp))
            return frame

    def size_of(self, frame: Frame) -> tuple[int, int]:
        """Width and height of a frame [px].

        RequestError PREDICTION_FAILED if it cannot be decoded; it is then let go.
        """
        try:
            return frame.size
        except ImageError as error:
            self.remove(frame)
            message = f"image {stamp_text(frame.header.stamp)}: {error}"
            raise RequestError(ErrorCode.PREDICTION_FAILED, message) from error

    def _not_kept(self, stamp: Time) -> str:
        stamps = [frame.header.stamp for frame in self._frames.values()]
        return (
            f"stamp {stamp_text(stamp)} is not kept: must be zero or that of one of the newest "
            f"{len(stamps)} images, {stamp_text(stamps[0])} to {stamp_text(stamps[-1])} "
            f"(image_cache is {self._capacity})"
        )

    def _trim(self) -> None:
        while len(self._frames) > self._capacity:
            del self._frames[next(iter(self._frames))]

    def __len__(self) -> int:
        return len(self._frames)
