# SPDX-License-Identifier: Apache-2.0
"""Random pictures for surfaces: plain, patterned at any scale, printed, or like photographs."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

PATTERNS = ("plain", "noise", "wood", "stripes", "checks", "speckle", "gradient", "bricks", "dots")
KINDS = {"two colours": 0.62, "print": 0.14, "shapes": 0.12, "photograph": 0.12}


def random_colour(rng: np.random.Generator) -> Float[np.ndarray, " 3"]:
    """RGB in [0, 1]: half greys and muted tones, the rest any hue."""
    saturation = rng.uniform(0, 0.25) if rng.random() < 0.5 else rng.uniform(0.25, 1.0)
    return np.array(colorsys.hsv_to_rgb(rng.random(), saturation, rng.uniform(0.15, 1.0)))


def random_texture(side: int, rng: np.random.Generator) -> UInt8[np.ndarray, "s s 3"]:
    kind = rng.choice(list(KINDS), p=list(KINDS.values()))
    if kind == "print":
        return printed(side, rng)
    if kind == "shapes":
        return shapes(side, rng)
    if kind == "photograph":
        return photograph(side, rng)
    first, second = random_colour(rng), random_colour(rng)
    strength = rng.uniform(0.2, 1.0)
    mix = np.clip(strength * pattern(side, rng), 0, 1)[..., None]
    return np.uint8(255 * (first + (second - first) * mix))


def smooth_noise(side: int, cells: int, rng: np.random.Generator) -> Float[np.ndarray, "s s"]:
    grid = rng.random((cells, cells), np.float32)
    return np.clip(cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC), 0, 1)


def pattern(side: int, rng: np.random.Generator) -> Float[np.ndarray, "s s"]:
    """How much of the second colour each pixel of a texture has, in [0, 1]."""
    y, x = np.mgrid[:side, :side] / side
    turn = rng.uniform(0, np.pi)
    along = np.cos(turn) * x + np.sin(turn) * y
    waves = int(np.exp(rng.uniform(np.log(2), np.log(16))))
    kind = rng.choice(PATTERNS)
    if kind == "plain":
        return 0.3 * smooth_noise(side, 4, rng)
    if kind == "noise":
        octaves = [smooth_noise(side, 2**k, rng) / 2**k for k in (2, 3, 4, 5)]
        return np.sum(octaves, axis=0) / 0.5
    if kind == "wood":
        bent = along + 0.15 * smooth_noise(side, 4, rng)
        return 0.5 + 0.5 * np.sin(2 * np.pi * waves * bent)
    if kind == "stripes":
        return (np.sin(2 * np.pi * waves * along) > rng.uniform(-0.7, 0.7)).astype(float)
    if kind == "checks":
        return ((x * waves).astype(int) + (y * waves).astype(int)) % 2
    if kind == "speckle":
        cells = int(rng.integers(8, side // 2 + 1))
        return (smooth_noise(side, cells, rng) > rng.uniform(0.5, 0.9)).astype(float)
    if kind == "bricks":
        row = (y * waves).astype(int)
        joint = (y * waves % 1 < 0.12) | ((x * waves / 2 + 0.5 * (row % 2)) % 1 < 0.06)
        return np.where(joint, 1.0, 0.35 * smooth_noise(side, 16, rng))
    if kind == "dots":
        centre = np.hypot(x * waves % 1 - 0.5, y * waves % 1 - 0.5)
        return (centre < rng.uniform(0.15, 0.45)).astype(float)
    return along / max(along.max(), 1e-6)


def printed(side: int, rng: np.random.Generator) -> UInt8[np.ndarray, "s s 3"]:
    """Lines of letters and a few bars on paper of any colour, as on packages and posters."""
    paper, ink = (tuple(int(c) for c in 255 * random_colour(rng)) for _ in range(2))
    canvas = np.full((side, side, 3), paper, np.uint8)
    for _ in range(int(rng.integers(0, 3))):
        (x, y), (w, h) = rng.integers(0, side, 2), rng.integers(side // 8, side // 2, 2)
        colour = tuple(int(c) for c in 255 * random_colour(rng))
        cv2.rectangle(canvas, (int(x), int(y)), (int(x + w), int(y + h)), colour, -1)
    height, y = rng.uniform(0.15, 0.6) * side / 64, 0.0
    while y < side:
        letters = "".join(chr(c) for c in rng.integers(33, 123, 24))
        y += 30 * height
        place = int(rng.integers(-10, side // 3)), int(y)
        if rng.random() < 0.85:
            font = cv2.FONT_HERSHEY_SIMPLEX
            cv2.putText(canvas, letters, place, font, height, ink, max(1, round(1.5 * height)))
    return canvas


def shapes(side: int, rng: np.random.Generator) -> UInt8[np.ndarray, "s s 3"]:
    """Discs, boxes and lines of many colours over each other."""
    canvas = np.full((side, side, 3), tuple(int(c) for c in 255 * random_colour(rng)), np.uint8)
    largest = rng.uniform(0.08, 0.4) * side
    for _ in range(int(rng.integers(8, 60))):
        a, b = (tuple(int(c) for c in rng.integers(0, side, 2)) for _ in range(2))
        colour = tuple(int(c) for c in 255 * random_colour(rng))
        kind, size = rng.integers(3), int(rng.uniform(0.1, 1) * largest) + 1
        if kind == 0:
            cv2.circle(canvas, a, size, colour, -1, cv2.LINE_AA)
        elif kind == 1:
            cv2.rectangle(
                canvas, a, (a[0] + size, a[1] + int(rng.uniform(0.3, 2) * size)), colour, -1
            )
        else:
            cv2.line(canvas, a, b, colour, max(1, size // 8), cv2.LINE_AA)
    return canvas


def photograph(side: int, rng: np.random.Generator) -> UInt8[np.ndarray, "s s 3"]:
    """Noise with the spectrum of photographs, its channels mostly alike."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side))) * side
    falloff = np.maximum(frequency, 1) ** -rng.uniform(0.9, 1.6)
    noise = rng.normal(size=(4, side, side))
    waves = np.real(np.fft.ifft2(np.fft.fft2(noise) * falloff))
    waves = waves / waves.std(axis=(1, 2), keepdims=True)
    channels = waves[:1] + rng.uniform(0.05, 0.5) * waves[1:]
    picture = random_colour(rng)[:, None, None] + rng.uniform(0.08, 0.25) * channels
    return np.uint8(255 * np.clip(picture, 0, 1)).transpose(1, 2, 0)
