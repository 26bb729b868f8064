"""Images as sensor_msgs/Image and CompressedImage hold them, to RGB arrays.

Any object with the fields of such a message will do, from ROS or from a bag: no ROS is needed.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import UInt8

    Converter = Callable[["RawImage"], np.ndarray]


class RawImage(Protocol):
    """The fields of a sensor_msgs/Image that count here. data: a buffer of bytes."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Any


class CompressedImage(Protocol):
    """The fields of a sensor_msgs/CompressedImage that count here."""

    format: str
    data: Any


class ImageError(ValueError):
    """An image message that cannot be read; says which field is wrong and what is allowed."""


class Layout(NamedTuple):
    """How a pixel lies in memory, and the 8-bit encoding that both converters know."""

    sample_bytes: int
    channels: int
    encoding: str


_BAYER = ("bayer_rggb", "bayer_bggr", "bayer_gbrg", "bayer_grbg")
LAYOUTS = {
    "rgb8": Layout(1, 3, "rgb8"),
    "bgr8": Layout(1, 3, "bgr8"),
    "8UC3": Layout(1, 3, "bgr8"),
    "rgba8": Layout(1, 4, "rgba8"),
    "bgra8": Layout(1, 4, "bgra8"),
    "8UC4": Layout(1, 4, "bgra8"),
    "mono8": Layout(1, 1, "mono8"),
    "8UC1": Layout(1, 1, "mono8"),
    "mono16": Layout(2, 1, "mono8"),
    "16UC1": Layout(2, 1, "mono8"),
    "rgb16": Layout(2, 3, "rgb8"),
    "bgr16": Layout(2, 3, "bgr8"),
    "yuv422": Layout(1, 2, "yuv422"),
    "uyvy": Layout(1, 2, "yuv422"),
    "yuv422_yuy2": Layout(1, 2, "yuv422_yuy2"),
    "yuyv": Layout(1, 2, "yuv422_yuy2"),
    **{f"{name}8": Layout(1, 1, f"{name}8") for name in _BAYER},
    **{f"{name}16": Layout(2, 1, f"{name}8") for name in _BAYER},
}


def check_image(message: RawImage) -> Layout:
    """The layout of a raw image; ImageError for one that cannot be read. Touches no pixel."""
    layout = LAYOUTS.get(message.encoding)
    if layout is None:
        raise ImageError(f"encoding is '{message.encoding}': must be one of {', '.join(LAYOUTS)}")
    if message.width == 0 or message.height == 0:
        raise ImageError(
            f"width x height is {message.width} x {message.height}: both must be at least 1"
        )
    row_bytes = message.width * layout.channels * layout.sample_bytes
    if message.step < row_bytes:
        raise ImageError(
            f"step is {message.step}: must be at least {row_bytes} "
            f"(width {message.width}, encoding {message.encoding})"
        )
    # The last row needs no padding.
    needed = message.step * (message.height - 1) + row_bytes
    if len(message.data) < needed:
        raise ImageError(
            f"data has {len(message.data)} bytes: must be at least {needed} "
            f"(height {message.height}, step {message.step})"
        )
    if layout.encoding.startswith("yuv") and message.width % 2:
        raise ImageError(f"width is {message.width}: must be even for {message.encoding}")
    return layout


def image_to_rgb(message: RawImage, convert: Converter | None = None) -> UInt8[np.ndarray, "h w 3"]:
    """RGB of a raw image of any step and byte order; 16-bit samples are scaled to 8 bits.

    Args:
        convert: from an image without padding, with samples of 8 bits, to RGB; rosbags-image's
            where None.

    Raises:
        ImageError: as check_image does.
    """
    layout = check_image(message)
    packed = SimpleNamespace(
        height=message.height,
        width=message.width,
        encoding=layout.encoding,
        is_bigendian=sys.byteorder == "big",
        step=message.width * layout.channels,
        data=_packed_samples(message, layout),
    )
    return np.ascontiguousarray((convert or _rosbags_image)(packed))


def compressed_to_rgb(message: CompressedImage) -> UInt8[np.ndarray, "h w 3"]:
    """RGB of a jpeg or png image, grey and 16-bit ones included; ImageError if it is neither."""
    check_compressed(message)
    data = np.frombuffer(message.data, np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if image is None:
        raise ImageError(f"data ({len(data)} bytes, format '{message.format}') cannot be decoded")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def check_compressed(message: CompressedImage) -> None:
    """ImageError unless the data starts like a jpeg or png file. Decodes nothing."""
    start = bytes(message.data[:8])
    if not start.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")):
        raise ImageError(
            f"data ({len(message.data)} bytes, format '{message.format}') is neither jpeg nor png"
        )


def _packed_samples(message: RawImage, layout: Layout) -> UInt8[np.ndarray, " n"]:
    """The samples as 8 bits each, without padding."""
    row_bytes = message.width * layout.channels * layout.sample_bytes
    buffer = np.frombuffer(message.data, np.uint8)
    rows = np.lib.stride_tricks.as_strided(buffer, (message.height, row_bytes), (message.step, 1))
    rows = np.ascontiguousarray(rows)
    if layout.sample_bytes == 2:
        samples = rows.view(">u2" if message.is_bigendian else "<u2")
        scaled = cv2.convertScaleAbs(samples.astype(np.uint16), alpha=255 / 65535)
        rows = np.asarray(scaled, np.uint8)
    return rows.reshape(-1)


def _rosbags_image(message: Any) -> np.ndarray:
    from rosbags.image import message_to_cvimage

    return message_to_cvimage(message, color_space="rgb8")
