# SPDX-License-Identifier: Apache-2.0
"""What the bytes of a jpeg or png file say about it, read before anything is decoded.

OpenCV decides by its version whether half a picture is one (4.6 fills the rest with grey, any one
does where an end marker was put behind the half), and takes the memory that a header asks for.
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

from fpt_ros.encodings import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"

END, SCAN = 0xD9, 0xDA
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Markers of a jpeg's frame header, SOF0 to SOF15 (ITU-T T.81, table B.1)."""
PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
ALONE = {0x01, 0xD8}
"""Markers that no segment follows (the restarts are passed over)."""
MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""Not 0xff00 and the restarts, which belong to the coded data of a scan."""


class FileHeader(NamedTuple):
    """kind: jpeg or png. channels: of a jpeg (4 are CMYK), 0 of a png. end: where a jpeg's end
    marker begins."""

    kind: str
    width: int
    height: int
    channels: int
    end: int = 0


def read_header(data: bytes) -> FileHeader:
    """The size of a jpeg or png file that is there to its end.

    Raises:
        ImageError: neither a jpeg nor a png, cut off, or without a size.
    """
    if data.startswith(PNG):
        header = _png_header(data)
    elif data.startswith(JPEG):
        header = _jpeg_header(data)
    else:
        raise ImageError("is neither jpeg nor png")
    if header.width == 0 or header.height == 0:
        raise ImageError(f"is a {header.kind} of {header.width} x {header.height} pixels")
    return header


def check_png(data: bytes) -> None:
    """ImageError where a part of a png file does not fit its checksum."""
    for name, start, end in _png_chunks(data):
        if zlib.crc32(memoryview(data)[start - 4 : end]) != _number(data, end):
            raise ImageError(f"is a damaged png: its part {name!r} does not fit its checksum")


def _png_header(data: bytes) -> FileHeader:
    chunks = list(_png_chunks(data))
    name, start, end = chunks[0]
    if name != b"IHDR" or end - start != 13:
        raise ImageError("is a damaged png: it does not begin with its size")
    width, height = struct.unpack_from(">II", data, start)
    return FileHeader("png", width, height, 0)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of each chunk's content, up to the last, IEND."""
    at, name = len(PNG), b""
    while name != b"IEND":
        start = at + 8
        end = start + _number(data, at)
        if end + 4 > len(data):
            raise ImageError("is a png that is cut off")
        name = data[at + 4 : start]
        yield name, start, end
        at = end + 4


def _jpeg_header(data: bytes) -> FileHeader:
    """Goes from marker to marker up to the end of the picture."""
    header, at = None, 2
    progressive, exact = False, set[tuple[int, int]]()
    while True:
        marker, at = _next_marker(data, at)
        if marker == END:
            break
        if marker in ALONE:
            continue
        after = at + int.from_bytes(data[at : at + 2], "big")
        if marker in FRAMES:
            height, width, channels = struct.unpack_from(">HHB", data.ljust(at + 8), at + 3)
            header = FileHeader("jpeg", width, height, channels)
            progressive = marker in PROGRESSIVE
        elif marker == SCAN:
            exact |= _exact_after(data[at + 2 : after])
        at = after
    if header is None:
        raise ImageError("is a jpeg without a size")
    if progressive and len(exact) < 64 * header.channels:
        raise ImageError("is a jpeg that is cut off: its last scans are missing")
    return header._replace(end=at - 2)


def _exact_after(scan: bytes) -> set[tuple[int, int]]:
    """Component and number of the coefficients that a progressive scan gives to their last bit."""
    if len(scan) < 6 or scan[-1] & 15:
        return set()
    return {(c, k) for c in scan[1:-3:2] for k in range(scan[-3], min(scan[-2], 63) + 1)}


def _next_marker(data: bytes, at: int) -> tuple[int, int]:
    """The next marker at or behind `at`, and where it ends; coded data are passed over."""
    found = MARKER.search(data, at)
    if found is None:
        raise ImageError("is a jpeg that is cut off")
    return data[found.end() - 1], found.end()


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")
