# SPDX-License-Identifier: Apache-2.0
"""SpelkeBench (Venkatesh et al., Discovering and using Spelke segments, 2025): what moves together.

One HDF5 file, a group a picture: `rgb` [h, w, 3], `segment` [n, h, w], and `centroid` [n, 2], the
place (x, y) to poke each segment at, pixels. The names of the paper's page (`image`, `segments_gt`,
`poke_location`) are read, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment
from tqdm import tqdm

from fpt_ros.inference.predictor import Predictor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

    from fpt_ros.inference.context import ImageContext

NAMES = {
    "image": ("rgb", "image"),
    "segments": ("segment", "segments_gt"),
    "pokes": ("centroid", "poke_location"),
}
DIRECTIONS = 8
LENGTH = 0.1
"""Of the pokes, in image sides: the benchmark says where to poke, not how."""
THRESHOLDS = np.arange(0.5, 0.95, 0.05)
"""Of the IoU, over which recall is averaged."""


@dataclass(frozen=True)
class Picture:
    """One picture's segments and where each is poked."""

    image: UInt8[np.ndarray, "h w 3"]
    segments: Bool[np.ndarray, "n h w"]
    pokes: Float[np.ndarray, "n 2"]


def read(path: Path, count: int) -> Iterator[Picture]:
    """The first `count` pictures.

    Raises:
        ValueError: h5py is not installed, or the file is not of this layout.
    """
    try:
        import h5py
    except ImportError as error:
        raise ValueError("SpelkeBench needs h5py: pip install '.[bench]'") from error
    with h5py.File(path, "r") as file:
        for name in tqdm(list(file)[:count], "poking", unit=" pictures", leave=False):
            found = {}
            for wanted, names in NAMES.items():
                known = [one for one in names if one in file[name]]
                if not known:
                    raise ValueError(f"{path}: {name} has neither {' nor '.join(names)}")
                found[wanted] = file[name][known[0]][:]
            yield _picture(f"{path}: {name}", **found)


def _picture(where: str, image: np.ndarray, segments: np.ndarray, pokes: np.ndarray) -> Picture:
    if image.dtype != np.uint8:
        image = np.clip(image * 255, 0, 255).round().astype(np.uint8)
    shapes = image.shape, segments.shape, pokes.shape
    count = len(pokes)
    if shapes != ((*image.shape[:2], 3), (count, *image.shape[:2]), (count, 2)):
        raise ValueError(f"{where}: shapes {shapes}: must be [h, w, 3], [n, h, w] and [n, 2]")
    return Picture(image, segments.astype(bool), pokes.astype(float))


def figures(predictor: Predictor, path: Path, count: int) -> dict[str, float]:
    """Mean over the pictures of the IoU of their segments (`mIoU`), and average recall (`AR`)."""
    ious, recalls = [], []
    for picture in read(path, count):
        context = predictor.embed(picture.image)
        answers = np.stack([part_at(predictor, context, poke) for poke in picture.pokes])
        overlap = np.array([[iou(s, a) for a in answers] for s in picture.segments])
        matched = overlap[linear_sum_assignment(-overlap)]
        ious.append(overlap.max(1).mean())
        recalls.append(np.mean([(matched >= t).mean() for t in THRESHOLDS]))
    if not ious:
        raise ValueError(f"{path}: no picture in it")
    return {"pictures": len(ious), "AR": float(np.mean(recalls)), "mIoU": float(np.mean(ious))}


def part_at(
    predictor: Predictor, context: ImageContext, place: Float[np.ndarray, "2"]
) -> Bool[np.ndarray, "h w"]:
    """What moves along with at least half of the pokes in all directions."""
    height, width = context.height, context.width
    angles = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    ways = LENGTH * min(height, width) * np.stack([np.cos(angles), np.sin(angles)], -1)
    place = np.clip(place, 0, [width - 1, height - 1])
    pokes = [np.concatenate([place, way])[None] for way in ways]
    votes = [predictor.segment(context, poke).moves for poke in pokes]
    return np.asarray(np.sum(votes, 0) >= DIRECTIONS / 2)


def iou(one: Bool[np.ndarray, "h w"], other: Bool[np.ndarray, "h w"]) -> float:
    """Intersection over union; 0 where both are empty."""
    return float((one & other).sum() / max((one | other).sum(), 1))
