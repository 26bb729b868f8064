# SPDX-License-Identifier: Apache-2.0
"""What an image message holds: which encodings and formats are pictures, and how they are read.

The one table of the node and of the data tools. Encodings are those of
sensor_msgs/image_encodings.hpp; what depth images are is REP 118's; format strings are those that
sensor_msgs/CompressedImage.msg documents and compressed_image_transport writes:
`bgr8; jpeg compressed bgr8`, `mono16; png compressed `, `bayer_rggb8; jpeg compressed `,
`16UC1; compressedDepth png`, or only `jpeg`, `png` or nothing.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class ImageError(ValueError):
    """An image message that cannot be read; says which field is wrong and what is allowed."""


class NoPictureError(ImageError):
    """An image message that holds something else than a picture, such as depth."""


class Layout(NamedTuple):
    """How a pixel lies in memory, and the 8-bit encoding that it is converted from."""

    sample_bytes: int
    channels: int
    encoding: str


_BAYER = ("bayer_rggb", "bayer_bggr", "bayer_gbrg", "bayer_grbg")
PICTURES = {
    "rgb8": Layout(1, 3, "rgb8"),
    "bgr8": Layout(1, 3, "bgr8"),
    "8UC3": Layout(1, 3, "bgr8"),
    "rgba8": Layout(1, 4, "rgba8"),
    "bgra8": Layout(1, 4, "bgra8"),
    "8UC4": Layout(1, 4, "bgra8"),
    "mono8": Layout(1, 1, "mono8"),
    "8UC1": Layout(1, 1, "mono8"),
    "mono16": Layout(2, 1, "mono8"),
    "rgb16": Layout(2, 3, "rgb8"),
    "bgr16": Layout(2, 3, "bgr8"),
    "rgba16": Layout(2, 4, "rgba8"),
    "bgra16": Layout(2, 4, "bgra8"),
    "yuv422": Layout(1, 2, "yuv422"),
    "uyvy": Layout(1, 2, "yuv422"),
    "yuv422_yuy2": Layout(1, 2, "yuv422_yuy2"),
    "yuyv": Layout(1, 2, "yuv422_yuy2"),
    **{f"{name}8": Layout(1, 1, f"{name}8") for name in _BAYER},
    **{f"{name}16": Layout(2, 1, f"{name}8") for name in _BAYER},
}
"""Alpha is dropped. Encodings that are not here are refused."""

NO_PICTURES = {
    "16UC1": "depth in millimetres (REP 118), and of a thermal camera only with sample_range",
    "32FC1": "depth in metres (REP 118)",
    "32FC2": "a field of motion",
}
"""Images that are sent by mistake, with what they are."""

FULL_RANGE = (0, 65535)
"""Of 16-bit samples."""
MAX_PIXELS = 2**26
"""Of an image, by default. 8K video has half as many, and machine-vision cameras of 65 megapixels
fit; RGB and the decoder's own copy of one take 0.4 GB."""

_NUMBERS = re.compile(r"(8|16|32|64)[USF]C\d+")


class Format(NamedTuple):
    """encoding: of the raw image that was compressed; empty where the format does not say it.

    swapped: the file has red in the place of blue.
    """

    encoding: str
    swapped: bool


def layout_of(encoding: str, sample_range: tuple[int, int] = FULL_RANGE) -> Layout:
    """The layout of a raw picture.

    Args:
        sample_range: 16-bit samples that become black and white. One that was chosen says that
            16UC1 is a picture too: many thermal cameras send it.

    Raises:
        NoPictureError: depth, or a field of motion.
        ImageError: an encoding that cannot be read.
    """
    if encoding == "16UC1" and sample_range != FULL_RANGE:
        return PICTURES["mono16"]
    if encoding in NO_PICTURES:
        raise NoPictureError(
            f"encoding is '{encoding}', {NO_PICTURES[encoding]}: must be one of {_allowed()}"
        )
    if encoding not in PICTURES:
        raise ImageError(f"encoding is '{encoding}': must be one of {_allowed()}")
    return PICTURES[encoding]


def format_of(text: str, sample_range: tuple[int, int] = FULL_RANGE) -> Format:
    """What the format of a compressed image says about the picture in it.

    Args:
        sample_range: as for `layout_of`.

    Raises:
        NoPictureError: depth, or a field of motion.
        ImageError: samples that are no picture's.
    """
    if "compressedDepth" in text:
        raise NoPictureError(f"format is '{text}', a depth image: must be a jpeg or png picture")
    encoding, semicolon, codec = (part.strip() for part in text.partition(";"))
    if not semicolon:
        return Format("", False)
    if encoding in NO_PICTURES or _NUMBERS.fullmatch(encoding):
        try:
            layout_of(encoding, sample_range)
        except ImageError as error:
            raise type(error)(f"format is '{text}': its {error}") from None
    # The decoder of compressed_image_transport takes the file's channels as they lie there.
    return Format(encoding, codec.endswith(("compressed rgb8", "compressed rgb16")))


def _allowed() -> str:
    return ", ".join(PICTURES)
