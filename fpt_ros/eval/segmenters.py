# SPDX-License-Identifier: Apache-2.0
"""Classic segmenters that cut the poked object out of the picture: no learning, no motion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from skimage.segmentation import felzenszwalb
from tqdm import tqdm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Bool, Float, UInt8

    from fpt_ros.eval.cases import Cases

SIDE = 128
"""Pixels of the picture that they are shown, at most."""
SURE = 0.02
"""Radius round the poke that GrabCut is told to be the object, in image sides."""
ITERATIONS = 3


@dataclass(frozen=True)
class GrabCut:
    """OpenCV's GrabCut (Rother et al., 2004), begun with a disc round the poke.

    Of what it calls the object, the part connected with the poke counts.
    """

    radius: float
    """Of what may be the object at first, in image sides."""
    beyond: bool
    """Whether what lies farther away may turn out to be the object, too."""
    name = "GrabCut round the poke"

    def part(
        self, image: UInt8[np.ndarray, "s s 3"], poke: Float[np.ndarray, "2"]
    ) -> Bool[np.ndarray, "s s"]:
        """The object at the poke, which is in image sides."""
        side = len(image)
        row, column = _pixel(poke, side)
        centres = (np.arange(side) + 0.5) / side
        distance = np.hypot(centres[None] - poke[0], centres[:, None] - poke[1])
        outside = cv2.GC_PR_BGD if self.beyond else cv2.GC_BGD
        mask = np.where(distance < self.radius, cv2.GC_PR_FGD, outside).astype(np.uint8)
        mask[distance < SURE] = cv2.GC_FGD
        mask[row, column] = cv2.GC_FGD
        cv2.setRNGSeed(0)
        colours = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
        inside, around = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(colours, mask, [0, 0, 1, 1], inside, around, ITERATIONS, cv2.GC_INIT_WITH_MASK)
        found = ((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)).astype(np.uint8)
        labels = cv2.connectedComponents(found)[1]
        return labels == labels[row, column]


@dataclass(frozen=True)
class Felzenszwalb:
    """scikit-image's graph segmentation (Felzenszwalb and Huttenlocher, 2004): the segment at the
    poke."""

    scale: float
    """The larger, the larger the segments."""
    name = "Felzenszwalb's segment at the poke"

    def part(
        self, image: UInt8[np.ndarray, "s s 3"], poke: Float[np.ndarray, "2"]
    ) -> Bool[np.ndarray, "s s"]:
        """The segment at the poke, which is in image sides."""
        colours = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
        labels = felzenszwalb(colours, scale=self.scale, sigma=0.8, min_size=50)
        return labels == labels[_pixel(poke, len(image))]


Segmenter = GrabCut | Felzenszwalb

CANDIDATES: dict[str, list[Segmenter]] = {
    GrabCut.name: [
        GrabCut(radius, beyond) for radius in (0.15, 0.3, 0.45) for beyond in (False, True)
    ],
    Felzenszwalb.name: [Felzenszwalb(scale) for scale in (100, 200, 400, 800, 1600)],
}
"""The settings among which one is chosen."""


def parts_at_points(
    segmenters: Sequence[Segmenter], cases: Cases, title: str = "segmenting"
) -> Bool[np.ndarray, "m n"]:
    """Which of the cases' points lie on what each segmenter cuts out at the first poke."""
    found: list[list[np.ndarray]] = [[] for _ in segmenters]
    for case in tqdm(cases.each, title, unit=" cases", leave=False):
        side = min(SIDE, len(case.image))
        image = cv2.resize(case.image, (side, side), interpolation=cv2.INTER_AREA)
        columns, rows = np.clip(case.points * side, 0, side - 1).astype(int).T
        for segmenter, parts in zip(segmenters, found, strict=True):
            parts.append(segmenter.part(image, case.pokes[0, :2])[rows, columns])
    return np.stack([np.concatenate(parts) for parts in found])


def _pixel(point: Float[np.ndarray, "2"], side: int) -> tuple[int, int]:
    """Row and column of a point in image sides."""
    column, row = np.clip(np.asarray(point) * side, 0, side - 1).astype(int)
    return int(row), int(column)
