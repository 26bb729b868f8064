# SPDX-License-Identifier: Apache-2.0
"""Depth images in messages (REP 118): 16UC1 in millimetres, 32FC1 in metres; raw, or as the plugin
compressedDepth of image_transport (package compressed_depth_image_transport) sends them."""

from __future__ import annotations

import functools
import math
import struct
from typing import TYPE_CHECKING

import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from fpt_ros.image_files import read_header
from fpt_ros.images import ImageError, decode_file, memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float32, Shaped, UInt16
    from rclpy.node import Node

SAMPLES: dict[str, np.dtype] = {"16UC1": np.dtype(np.uint16), "32FC1": np.dtype(np.float32)}
"""Encodings of depth, and their samples."""
TRANSPORTS: dict[str, type] = {"raw": Image, "compressedDepth": CompressedImage}
"""What depth may be sent as, and its messages."""
CODECS = ("", "compressedDepth", "compressedDepth png")
"""What stands in a format behind the encoding; old versions wrote nothing there."""
HEADER = struct.Struct("<iff")
"""Before the png: what kind it is (0), and A and B of 32FC1, which is stored as A / depth + B."""


def depth_topic(node: Node, transport: str) -> str:
    """The full name of the depth's topic, after remappings of `depth`."""
    topic = node.resolve_topic_name("depth")
    return topic if transport == "raw" else f"{topic}/{transport}"


def depth_decoder(
    message: Image | CompressedImage, max_pixels: int
) -> Callable[[], Shaped[np.ndarray, "h w"]]:
    """What gives the samples of a depth image, uint16 millimetres or float32 metres, when called.

    Raises:
        ImageError: no depth image, by its header alone; what is returned, where the png cannot be
            decoded.
    """
    if isinstance(message, CompressedImage):
        check_compressed_depth(message, max_pixels)
        return functools.partial(compressed_depth_array, message)
    check_depth(message, max_pixels)
    return functools.partial(depth_array, message)


def check_depth(message: Image, max_pixels: int) -> None:
    """ImageError for what is no depth image, by its header alone."""
    if message.encoding not in SAMPLES:
        allowed = " or ".join(SAMPLES)
        raise ImageError(f"encoding is '{message.encoding}': must be {allowed}")
    width, height = message.width, message.height
    _check_size(width, height, max_pixels)
    least = width * SAMPLES[message.encoding].itemsize
    if message.step < least:
        raise ImageError(f"step is {message.step}: must be at least {least}")
    if len(message.data) < message.step * (height - 1) + least:
        raise ImageError(
            f"data has {len(message.data)} bytes: {height} rows of {message.step} are needed"
        )


def depth_array(message: Image) -> Shaped[np.ndarray, "h w"]:
    """The samples of a checked message, in this machine's byte order."""
    samples = SAMPLES[message.encoding]
    height, used = message.height, message.width * samples.itemsize
    data = np.frombuffer(memory(message.data), np.uint8)
    short = message.step * height - len(data)  # the last row may lack its padding
    rows = np.pad(data, (0, max(short, 0)))[: message.step * height].reshape(height, message.step)
    swapped = samples.newbyteorder(">" if message.is_bigendian else "<")
    values = np.ascontiguousarray(rows[:, :used]).view(swapped)
    return np.asarray(values, samples)


def check_compressed_depth(message: CompressedImage, max_pixels: int) -> None:
    """ImageError for what is no compressed depth image, by its headers alone."""
    encoding, codec = _format_of(message)
    if encoding not in SAMPLES or codec not in CODECS:
        allowed = " or ".join(f"'{name}; {CODECS[-1]}'" for name in SAMPLES)
        raise ImageError(f"format is '{message.format}': must be {allowed}")
    data = bytes(memory(message.data))
    what = f"data ({len(data)} bytes, format '{message.format}')"
    if len(data) < HEADER.size:
        raise ImageError(f"{what}: must be {HEADER.size} bytes of header and a png")
    try:
        header = read_header(data[HEADER.size :])
    except ImageError as error:
        raise ImageError(f"{what}, behind its header, {error}") from None
    if header.kind != "png":
        raise ImageError(f"{what}, behind its header, is a {header.kind}: must be a png")
    _check_size(header.width, header.height, max_pixels)
    _, a, b = HEADER.unpack_from(data)
    if encoding == "32FC1" and not (a > 0 and math.isfinite(a) and math.isfinite(b)):
        raise ImageError(f"{what}: its header has A = {a}, B = {b}: must be finite, and A positive")


def compressed_depth_array(message: CompressedImage) -> Shaped[np.ndarray, "h w"]:
    """The samples of a checked message; ImageError where the png cannot be decoded."""
    data = bytes(memory(message.data))
    png = data[HEADER.size :]
    samples = decode_file(png, read_header(png))
    if samples.ndim != 2 or samples.dtype != np.uint16:
        raise ImageError(
            f"the png holds {samples.dtype} {list(samples.shape)}: must be grey, of 16 bits"
        )
    if _format_of(message)[0] == "16UC1":
        return samples
    return _metres(samples, *HEADER.unpack_from(data)[1:])


def _metres(samples: UInt16[np.ndarray, "h w"], a: float, b: float) -> Float32[np.ndarray, "h w"]:
    """Depth of samples that are A / depth + B; NaN where they are 0, which are holes."""
    with np.errstate(divide="ignore"):
        metres = np.float32(a) / (samples.astype(np.float32) - np.float32(b))
    return np.where(samples > 0, metres, np.float32(np.nan))


def _format_of(message: CompressedImage) -> tuple[str, str]:
    """Encoding and codec, such as 16UC1 and `compressedDepth png`."""
    encoding, _, codec = message.format.partition(";")
    return encoding.strip(), codec.strip()


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if not 0 < width * height <= max_pixels:
        raise ImageError(f"{width} x {height}: must be 1 to {max_pixels} pixels")
