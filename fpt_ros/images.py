# SPDX-License-Identifier: Apache-2.0
"""Images as sensor_msgs/Image and CompressedImage hold them, to RGB arrays.

Any object with the fields of such a message will do, from ROS or from a bag: no ROS is needed.
Pixels are those of the message as it arrived: a jpeg's EXIF orientation turns nothing, since the
camera's calibration and the planner's pixels are those of the sensor.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np

from fpt_ros.encodings import (
    FULL_RANGE,
    MAX_PIXELS,
    PICTURES,
    ImageError,
    Layout,
    format_of,
    layout_of,
)
from fpt_ros.image_files import FileHeader, check_png, read_header

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import UInt8, UInt16

    Converter = Callable[["RawImage"], np.ndarray]
    """From a raw image without padding, with samples of 8 bits, to RGB."""


class RawImage(Protocol):
    """The fields of a sensor_msgs/Image that count here. data: as `memory` takes it."""

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


def rosbags_image(message: Any) -> np.ndarray:
    """The converter of rosbags-image."""
    from rosbags.image import message_to_cvimage

    return message_to_cvimage(message, color_space="rgb8")


@dataclass(frozen=True)
class Reading:
    """How images are read.

    max_pixels: a larger image is refused before it is decoded.
    sample_range: 16-bit samples that become black and white; what lies beyond is cut off. One that
    is not the full range also makes pictures of 16UC1, which are depth otherwise.
    """

    max_pixels: int = MAX_PIXELS
    sample_range: tuple[int, int] = FULL_RANGE
    convert: Converter = rosbags_image


DEFAULT = Reading()

MISSING, CORNER = 128, 4
"""libjpeg gives this value to all pixels whose data are missing, and so to those at the end of the
last row, of which so many a side are looked at."""
FILLER = b"".join(bytes(range(1, 255)) + bytes([0xFF, restart]) for restart in range(0xD0, 0xD8))
"""Coded data of some picture, with all the restart markers that it might have."""


def check_image(message: RawImage, reading: Reading = DEFAULT) -> Layout:
    """The layout of a raw image. Touches no pixel.

    Raises:
        NoPictureError: depth, or a field of motion.
        ImageError: an image that cannot be read, or is too large.
    """
    layout = layout_of(message.encoding, reading.sample_range)
    if message.width == 0 or message.height == 0:
        raise ImageError(
            f"width x height is {message.width} x {message.height}: both must be at least 1"
        )
    _check_size("width x height", message.width, message.height, reading)
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


def check_compressed(message: CompressedImage, reading: Reading = DEFAULT) -> FileHeader:
    """The size of a jpeg or png picture. Decodes nothing.

    Raises:
        NoPictureError: depth, or a field of motion.
        ImageError: neither jpeg nor png, cut off, too large, or of colours that cannot be read.
    """
    format_of(message.format, reading.sample_range)
    what = f"data ({len(message.data)} bytes, format '{message.format}')"
    try:
        header = read_header(bytes(memory(message.data)))
    except ImageError as error:
        raise ImageError(f"{what} {error}") from None
    _check_size(f"{what}: its {header.kind}", header.width, header.height, reading)
    if header.channels not in (0, 1, 3):
        raise ImageError(
            f"{what} is a jpeg of {header.channels} colours (CMYK): must have 1 (grey) or 3"
        )
    return header


def image_to_rgb(message: RawImage, reading: Reading = DEFAULT) -> UInt8[np.ndarray, "h w 3"]:
    """RGB of a raw image of any step and byte order; 16-bit samples are scaled to 8 bits.

    Raises:
        ImageError: as check_image does.
    """
    layout = check_image(message, reading)
    return _converted(_packed_samples(message, layout, reading), layout.encoding, reading)


def compressed_to_rgb(
    message: CompressedImage, reading: Reading = DEFAULT
) -> UInt8[np.ndarray, "h w 3"]:
    """RGB of a jpeg or png image: colour, grey or a Bayer mosaic, of 8 or 16 bits, without alpha.

    Raises:
        ImageError: as check_compressed does, and where the file cannot be decoded.
        MemoryError: there is not enough for it.
    """
    header = check_compressed(message, reading)
    encoding, swapped = format_of(message.format, reading.sample_range)
    what = f"data ({len(message.data)} bytes, format '{message.format}')"
    try:
        image = decode_file(bytes(memory(message.data)), header)
    except ImageError as error:
        raise ImageError(f"{what} {error}") from None
    if image.dtype == np.uint16:
        image = _eight_bits(image, reading)
    if image.ndim == 2:
        mosaic = encoding.startswith("bayer_") and encoding in PICTURES
        return _converted(image, PICTURES[encoding].encoding if mosaic else "mono8", reading)
    if swapped:
        return np.ascontiguousarray(image[..., :3])
    # OpenCV takes the file's red to the last place; a fourth channel is alpha.
    how = cv2.COLOR_BGRA2RGB if image.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(image, how), np.uint8)


def memory(data: Any) -> memoryview:
    """The bytes of a message's uint8[]: a buffer, such as an array.array, or what gives one.

    Since Lyrical, rclpy can also hold them as a `rosidl_buffer.Buffer`, perhaps on a GPU, which is
    no buffer to Python but has `to_bytes()` (ros2/rosidl#943).

    Raises:
        ImageError: anything else.
    """
    try:
        return memoryview(data.to_bytes() if hasattr(data, "to_bytes") else data)
    except TypeError:
        raise ImageError(
            f"data is a {type(data).__name__}: must be bytes, an array or a rosidl_buffer.Buffer"
        ) from None


def _check_size(what: str, width: int, height: int, reading: Reading) -> None:
    if width * height > reading.max_pixels:
        raise ImageError(
            f"{what} is {width} x {height} = {width * height} pixels: must be at most "
            f"{reading.max_pixels} (max_image_pixels)"
        )


def decode_file(data: bytes, header: FileHeader) -> np.ndarray:
    """Samples as they lie in a file, uint8 or uint16: [h, w], or [h, w, 3 or 4] as BGR or BGRA,
    neither turned nor scaled.

    Raises:
        ImageError: cut off, damaged, or not to be decoded.
        MemoryError: there is not enough for it.
    """
    if header.kind == "png":
        check_png(data)
    image = _by_opencv(data, header)
    if header.kind == "jpeg" and np.all(image[-CORNER:, -CORNER:] == MISSING):
        # Data that are all there end the picture whatever follows them; else it fills the gap.
        more = b"".join([data[: header.end], FILLER, data[header.end :]])
        if not np.array_equal(_by_opencv(more, header), image):
            raise ImageError("is a jpeg that is cut off: coded data are missing before its end")
    return image


def _by_opencv(data: bytes, header: FileHeader) -> np.ndarray:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError(f"no memory for {header.width} x {header.height} pixels") from error
        raise ImageError(f"cannot be decoded: {error.err}") from error
    if image is None or image.dtype not in (np.uint8, np.uint16):
        raise ImageError("cannot be decoded")
    return image


def _converted(samples: np.ndarray, encoding: str, reading: Reading) -> UInt8[np.ndarray, "h w 3"]:
    """RGB of rows of 8-bit samples without padding."""
    height, row = samples.shape[:2]
    packed = SimpleNamespace(
        height=height,
        width=row // PICTURES[encoding].channels,
        encoding=encoding,
        is_bigendian=sys.byteorder == "big",
        step=row,
        data=np.ascontiguousarray(samples).reshape(-1),
    )
    return np.ascontiguousarray(reading.convert(packed))


def _packed_samples(
    message: RawImage, layout: Layout, reading: Reading
) -> UInt8[np.ndarray, "h row"]:
    """The samples as 8 bits each, without padding."""
    row_bytes = message.width * layout.channels * layout.sample_bytes
    buffer = np.frombuffer(memory(message.data), np.uint8)
    rows = np.lib.stride_tricks.as_strided(buffer, (message.height, row_bytes), (message.step, 1))
    rows = np.ascontiguousarray(rows)
    if layout.sample_bytes == 1:
        return rows
    samples = rows.view(">u2" if message.is_bigendian else "<u2")
    return _eight_bits(samples.astype(np.uint16, copy=False), reading)


def _eight_bits(samples: UInt16[np.ndarray, "..."], reading: Reading) -> UInt8[np.ndarray, "..."]:
    low, high = reading.sample_range
    if low:
        samples = np.maximum(samples, low) - np.uint16(low)
    return np.asarray(cv2.convertScaleAbs(samples, alpha=255 / (high - low)), np.uint8)
