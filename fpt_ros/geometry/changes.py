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
    from jaxtyping import Bool, Float, Float32, Int, UInt8

    from fpt_ros.geometry.camera import Camera

COLOUR, DEPTH = 14.0, 3.0
"""What counts as a change: grey values (0 to 255), and standard deviations of depth."""
GREY, LIGHT, HUE, EDGE = 8.0, 0.25, 0.1, 0.5
"""Spread of colours: grey values, shares of them in brightness (light falls otherwise when a part
has turned, or in a shadow) and in hue, and pixels by which edges may be off."""
MEDIAN = 5
"""Pixels over which depth is smoothed."""
SMOOTHED = 0.6
"""Share of the noise of depth that is left when it is smooth, and common."""
STEEPEST = 0.03
"""Of depth from pixel to pixel, as a share: more is an edge and not a slope."""
LEAST, COVERED, MOST = 0.5, 2.0, 12.0
"""What a pixel costs at most that no motion explains: as much as it differs when nothing moves,
within these; and where something nearer came before it, which may be all that happened to it."""


@dataclasses.dataclass(frozen=True)
class View:
    """Pixels that changed in one image, and the other image, in which a motion finds them."""

    points: Float[np.ndarray, "n 3"]
    """Metres from the part's middle."""
    colours: Float[np.ndarray, "n 3"]
    whiten: Float[np.ndarray, "n 3 3"]
    """Makes differences of colours have unit variance altogether."""
    price: Float[np.ndarray, " n"]
    """What each costs at most."""
    other: Float[np.ndarray, "h w 12"]
    """Colours, their slopes along x and along y, depth [m], its slopes along x and along y."""

    def thin(self) -> View:
        """With every fourth pixel."""
        names = ("points", "colours", "whiten", "price")
        return dataclasses.replace(self, **{name: getattr(self, name)[::4] for name in names})


def changed(
    images: Sequence[UInt8[np.ndarray, "h w 3"]], depths: Sequence[Float[np.ndarray, "h w"]]
) -> Bool[np.ndarray, "h w"]:
    """Where two images or their (smooth) depths differ by more than noise, specks left out."""
    first, second = (cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.5) for image in images)
    colour = np.abs(first - second).max(-1) > COLOUR
    deep = np.abs(depths[0] - depths[1]) > DEPTH * depth_noise(np.fmin(*depths))
    found = (colour | deep).astype(np.uint8)
    return cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((3, 3))) > 0


def smooth(depth: Float[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Depth without specks [m]; NaN where it was."""
    filled = cv2.medianBlur(np.nan_to_num(depth).astype(np.float32), MEDIAN)
    return np.where(np.isfinite(depth) & (filled > 0), filled, np.nan).astype(np.float32)


def depth_layers(depth: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w 3"]:
    """Depth and its slopes, as `View.other` has them."""
    steep = [cv2.Sobel(depth, cv2.CV_32F, *way, ksize=5, scale=1 / 128) for way in ((1, 0), (0, 1))]
    steep = [np.where(np.abs(one) < STEEPEST * depth, one, np.float32(0)) for one in steep]
    return np.asarray(cv2.merge([depth, *steep]))


def layers(
    image: UInt8[np.ndarray, "h w 3"], deep: Float32[np.ndarray, "h w 3"], blur: float
) -> Float32[np.ndarray, "h w 12"]:
    """An image, blurred, with its slopes, and depth with its own, as `View.other` has them."""
    soft = cv2.GaussianBlur(image.astype(np.float32), (0, 0), blur)
    slopes = [cv2.Sobel(soft, cv2.CV_32F, *way, scale=1 / 8) for way in ((1, 0), (0, 1))]
    return np.asarray(cv2.merge([soft, *slopes, deep]))


def whitening(
    colours: Float[np.ndarray, "n 3"], slopes: Float[np.ndarray, "n 6"]
) -> Float[np.ndarray, "n 3 3"]:
    """Of differences of colours, which may be brighter rather than of another hue."""
    size = np.linalg.norm(colours, axis=-1, keepdims=True)
    bright = colours / np.maximum(size, 1e-6)
    common = 3 * GREY**2 + EDGE**2 * (slopes**2).sum(-1, keepdims=True)
    along, across = (1 / np.sqrt(common + (share * size) ** 2) for share in (LIGHT, HUE))
    outer = bright[:, :, None] * bright[:, None]
    return along[..., None] * outer + across[..., None] * (np.eye(3) - outer)


def view_of(
    camera: Camera,
    pixels: Int[np.ndarray, "n 2"],
    centre: Float[np.ndarray, " 3"],
    own: Float[np.ndarray, "h w 12"],
    other: Float[np.ndarray, "h w 12"],
) -> View:
    """Pixels of an image, to be found in the other one."""
    here, there = (each[pixels[:, 1], pixels[:, 0]].astype(float) for each in (own, other))
    points = camera.unproject(pixels.astype(float), here[:, 9]) - centre
    whiten = whitening(here[:, :3], here[:, 3:9])
    spread = SMOOTHED * depth_noise(here[:, 9])
    colour = (whiten @ (there[:, :3] - here[:, :3])[..., None])[..., 0]
    deep = np.nan_to_num((here[:, 9] - there[:, 9]) / spread)
    price = np.clip((colour**2).sum(-1) + deep**2, LEAST, MOST)
    price = np.where(deep > DEPTH, COVERED, price)
    return View(points, here[:, :3], whiten, price, other)
