# SPDX-License-Identifier: Apache-2.0
"""Depth images in messages (REP 118): 16UC1 in millimetres, 32FC1 in metres."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.images import ImageError, memory

if TYPE_CHECKING:
    from jaxtyping import Shaped
    from sensor_msgs.msg import Image

SAMPLES: dict[str, np.dtype] = {"16UC1": np.dtype(np.uint16), "32FC1": np.dtype(np.float32)}
"""Encodings of depth, and their samples."""


def check_depth(message: Image, max_pixels: int) -> None:
    """ImageError for what is no depth image, by its header alone."""
    if message.encoding not in SAMPLES:
        allowed = " or ".join(SAMPLES)
        raise ImageError(f"encoding is '{message.encoding}': must be {allowed}")
    width, height = message.width, message.height
    if not 0 < width * height <= max_pixels:
        raise ImageError(f"{width} x {height}: must be 1 to {max_pixels} pixels")
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
