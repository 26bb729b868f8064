# SPDX-License-Identifier: Apache-2.0
"""Arguments of the planner as arrays, or a ValueError that names what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from numpy.typing import ArrayLike


def rows(name: str, values: ArrayLike, allowed: str = "[n, 2]") -> Float[np.ndarray, "n 2"]:
    """Pairs of finite numbers; an empty argument of any shape is no pairs."""
    pairs = np.asarray(values, np.float64)
    pairs = pairs.reshape(0, 2) if pairs.size == 0 else pairs
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise ValueError(f"{name} has shape {pairs.shape}: must be {allowed}")
    if not np.isfinite(pairs).all():
        raise ValueError(f"{name} is {pairs[~np.isfinite(pairs).all(1)][0]}: must be finite")
    return pairs


def positive(name: str, value: float) -> float:
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"{name} is {value}: must be finite and above 0 (pixels)")
    return float(value)


def not_negative(name: str, value: float) -> float:
    if not (np.isfinite(value) and value >= 0):
        raise ValueError(f"{name} is {value}: must be finite and at least 0")
    return float(value)


def each(name: str, values: ArrayLike, count: int) -> Float[np.ndarray, " count"]:
    """One number for each of `count` points: one for all of them, or as many as they are."""
    numbers = np.asarray(values, np.float64)
    if numbers.shape not in ((), (count,)):
        raise ValueError(f"{name} has shape {numbers.shape}: must be one number or [{count}]")
    return np.broadcast_to(numbers, count)


def area(name: str, values: ArrayLike) -> Bool[np.ndarray, "h w"]:
    """The mask itself, or the polygon's pixels with its rim, those right of and below (0, 0)."""
    mask = np.asarray(values)
    if mask.dtype != bool:
        mask = _filled(name, rows(name, mask, "a bool mask [h, w] or a polygon [v, 2]"))
    if mask.ndim != 2:
        raise ValueError(f"{name} has shape {mask.shape}: a mask must be [h, w]")
    if not mask.any():
        raise ValueError(f"{name} is empty: the robot may touch nothing on the image")
    return mask


def _filled(name: str, corners: Float[np.ndarray, "v 2"]) -> Bool[np.ndarray, "h w"]:
    if len(corners) < 3:
        raise ValueError(f"{name} has {len(corners)} corners: a polygon must have at least 3")
    width, height = np.maximum(np.ceil(corners.max(0)).astype(int) + 1, 1)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 1)
    return mask.astype(bool)


def inside(
    mask: Bool[np.ndarray, "h w"], points: Float[np.ndarray, "*m 2"]
) -> Bool[np.ndarray, "*m"]:
    """Whether the nearest pixels of the points belong to the mask."""
    x, y = np.moveaxis(np.round(points).astype(int), -1, 0)
    height, width = mask.shape
    on_image = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return on_image & mask[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
