# SPDX-License-Identifier: Apache-2.0
"""Depth images (REP 118): metres along the optical axis, holes as NaN."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Shaped

MILLIMETRES = np.float32(0.001)


def read_depth(image: Shaped[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Metres, with NaN for holes, of an image 16UC1 (millimetres, 0 a hole) or 32FC1 (metres; NaN,
    infinity and what is not positive are holes).

    Raises:
        ValueError: an array of another type or shape.
    """
    if image.ndim != 2 or image.dtype not in (np.uint16, np.float32):
        raise ValueError(
            f"depth is {image.dtype} {list(image.shape)}: must be uint16 (millimetres) or "
            "float32 (metres), [h, w]"
        )
    metres = image * MILLIMETRES if image.dtype == np.uint16 else image
    with np.errstate(invalid="ignore"):
        return np.where((metres > 0) & np.isfinite(metres), metres, np.float32(np.nan))


def depth_at(
    depth: Float[np.ndarray, "h w"], pixels: Float[np.ndarray, "n 2"], window: int = 5
) -> Float[np.ndarray, " n"]:
    """Depth of the valid pixel that is nearest to each point, within a window about it.

    NaN where the window has none, or the point is off the image.
    """
    height, width = depth.shape
    pixels = np.asarray(pixels, float).reshape(-1, 2)
    x, y = np.round(np.where(np.isfinite(pixels), pixels, -1e6)).astype(int).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    found = np.full(len(pixels), np.nan)
    half = window // 2
    offsets = [(i, j) for i in range(-half, half + 1) for j in range(-half, half + 1)]
    for down, right in sorted(offsets, key=lambda offset: offset[0] ** 2 + offset[1] ** 2):
        rows, columns = y + down, x + right
        on = inside & (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        values = depth[np.where(on, rows, 0), np.where(on, columns, 0)]
        found = np.where(np.isnan(found) & on, values, found)
    return found


def depth_noise(depth: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """Standard deviation to expect of a depth camera [m]: 1.5 mm and 2.5 mm per square metre, as
    structured light and time of flight have it (K. Khoshelham and S. Elberink, Accuracy and
    resolution of Kinect depth data for indoor mapping applications, 2012)."""
    return 0.0015 + 0.0025 * depth**2
