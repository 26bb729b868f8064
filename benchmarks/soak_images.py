# SPDX-License-Identifier: Apache-2.0
"""Images for the soak: the camera's pictures, and what no node should be sent."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from sensor_msgs.msg import Image

PICTURES = 4


def bad_images() -> list[Image]:
    """Raw images that must be refused."""
    size = {"width": 32, "height": 24}
    rgb = {"encoding": "rgb8", "step": 96}
    data = bytes(96 * 24)
    return [
        Image(**size, encoding="16UC1", step=64, data=bytes(64 * 24)),  # depth by mistake
        Image(**size, encoding="32FC1", step=128, data=bytes(128 * 24)),
        Image(**size, encoding="", step=96, data=data),
        Image(**size, encoding="rgb9", step=96, data=data),
        Image(**size, encoding="rgb8", step=5, data=data),
        Image(**size, encoding="rgb8", step=2**31, data=data),
        Image(**size, **rgb, data=data[:100]),
        Image(**size, **rgb),
        Image(width=0, height=24, **rgb, data=data),
        Image(width=60000, height=60000, encoding="rgb8", step=180000, data=data),
        Image(width=2**32 - 1, height=2**32 - 1, encoding="mono8", step=2**32 - 1, data=data),
        Image(width=33, height=24, encoding="yuv422", step=66, data=bytes(66 * 24)),
    ]


def bad_files(good: bytes) -> list[tuple[bytes, str]]:
    """Compressed images that must be refused, with their format."""
    picture = np.zeros((24, 32, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    return [
        (png_header(60000, 60000), "png"),
        (png_header(2**31 - 1, 1), "png"),
        (png_header(0, 0), "png"),
        (good[: len(good) // 2], "png"),
        (jpeg[: len(jpeg) // 2], "jpeg"),
        (jpeg[:-2], "jpeg"),
        (jpeg, "16UC1; compressedDepth png"),
        (jpeg, "32FC1; jpeg compressed "),
        (b"", "jpeg"),
        (bytes(1000), "jpeg"),
        (b"not a picture", "webp"),
    ]


def png_header(width: int, height: int) -> bytes:
    """A png file of that size that ends after its header."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def write_pictures(folder: Path, picture: np.ndarray) -> None:
    """The camera's pictures: one that drifts to the side, as an array and as png files."""
    pictures = np.stack([np.roll(picture, 20 * number, axis=1) for number in range(PICTURES)])
    np.save(folder / "pictures.npy", pictures)
    for number, rgb in enumerate(pictures):
        cv2.imwrite(str(folder / f"{number}.png"), rgb[..., ::-1])
