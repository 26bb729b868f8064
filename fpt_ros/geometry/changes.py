# SPDX-License-Identifier: Apache-2.0
"""What changed between two images with depth, and how it looks."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fpt_ros.geometry.depth import depth_noise

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

COLOUR, DEPTH = 14.0, 3.0
"""What counts as a change: grey values (0 to 255), and standard deviations of depth."""
GREY, LIGHT, EDGE = 8.0, 0.1, 0.5
"""Spread of colours: grey values, share of them (light falls otherwise when a part has turned), and
pixels by which edges may be off."""
MEDIAN = 5
"""Pixels over which depth is smoothed."""


@dataclasses.dataclass(frozen=True)
class View:
    """Pixels that changed in one image, and the other image, in which a motion finds them."""

    points: Float[np.ndarray, "n 3"]
    """Metres from the part's middle."""
    colours: Float[np.ndarray, "n 3"]
    spread: Float[np.ndarray, " n"]
    image: Float[np.ndarray, "h w 3"]
    depth: Float[np.ndarray, "h w"]

    def thin(self) -> View:
        """With every fourth pixel."""
        return dataclasses.replace(
            self, points=self.points[::4], colours=self.colours[::4], spread=self.spread[::4]
        )


def changed(
    images: Sequence[UInt8[np.ndarray, "h w 3"]], depths: Sequence[Float[np.ndarray, "h w"]]
) -> Bool[np.ndarray, "h w"]:
    """Where two images or their (smooth) depths differ by more than noise, specks left out."""
    first, second = (cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.5) for image in images)
    colour = np.abs(first - second).max(-1) > COLOUR
    deep = np.abs(depths[0] - depths[1]) > DEPTH * depth_noise(np.fmin(*depths))
    found = (colour | deep).astype(np.uint8)
    return cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((3, 3))) > 0


def smooth(depth: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Depth without specks [m]; NaN where it was."""
    filled = cv2.medianBlur(np.nan_to_num(depth).astype(np.float32), MEDIAN)
    return np.where(np.isfinite(depth) & (filled > 0), filled, np.nan).astype(np.float32)


def colours_at(
    image: Float[np.ndarray, "h w 3"], pixels: Float[np.ndarray, "n 2"]
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, " n"]]:
    """At pixels, and their spread: edges are sharper than pixels."""
    columns, rows = pixels.T
    steps = [cv2.Sobel(image, cv2.CV_32F, *way, scale=1 / 8) for way in ((1, 0), (0, 1))]
    slope = np.sqrt(sum(step[rows, columns] ** 2 for step in steps).mean(-1))
    colours = image[rows, columns]
    spread = np.sqrt(GREY**2 + (LIGHT * colours.mean(-1)) ** 2 + (EDGE * slope) ** 2)
    return colours, spread
