"""Random colours, textures and light, so that a network cannot rely on any of them."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING

import cv2
import mujoco
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

PATTERNS = ("plain", "noise", "wood", "stripes", "checks", "speckle", "gradient")


def random_colour(rng: np.random.Generator) -> Float[np.ndarray, " 3"]:
    """RGB in [0, 1]: half greys and muted tones, the rest any hue."""
    saturation = rng.uniform(0, 0.25) if rng.random() < 0.5 else rng.uniform(0.25, 1.0)
    return np.array(colorsys.hsv_to_rgb(rng.random(), saturation, rng.uniform(0.15, 1.0)))


def jittered(colour: Float[np.ndarray, " 3"], rng: np.random.Generator) -> Float[np.ndarray, " 3"]:
    return np.clip(colour * rng.uniform(0.7, 1.2) + rng.normal(0, 0.05, 3), 0, 1)


def smooth_noise(side: int, cells: int, rng: np.random.Generator) -> Float[np.ndarray, "s s"]:
    grid = rng.random((cells, cells), np.float32)
    return np.clip(cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC), 0, 1)


def pattern(side: int, rng: np.random.Generator) -> Float[np.ndarray, "s s"]:
    """How much of the second colour each pixel of a texture has, in [0, 1]."""
    y, x = np.mgrid[:side, :side] / side
    turn = rng.uniform(0, np.pi)
    along = np.cos(turn) * x + np.sin(turn) * y
    waves = int(rng.integers(2, 10))
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
        return (smooth_noise(side, side // 2, rng) > rng.uniform(0.5, 0.9)).astype(float)
    return along / max(along.max(), 1e-6)


def random_texture(side: int, rng: np.random.Generator) -> UInt8[np.ndarray, "s s 3"]:
    first, second = random_colour(rng), random_colour(rng)
    strength = rng.uniform(0.2, 1.0)
    mix = np.clip(strength * pattern(side, rng), 0, 1)[..., None]
    return np.uint8(255 * (first + (second - first) * mix))


def paint_texture(model: mujoco.MjModel, texture: int, rng: np.random.Generator) -> None:
    """Fill one of the model's textures with a random one; all faces of a cube alike.

    Must happen before a renderer is made for the model.
    """
    width, height = model.tex_width[texture], model.tex_height[texture]
    face = random_texture(min(int(width), 128), rng)
    face = cv2.resize(face, (int(width), int(width)), interpolation=cv2.INTER_LINEAR)
    filled = np.tile(face, (height // width + 1, 1, 1))[:height]
    start = model.tex_adr[texture]
    model.tex_data[start : start + filled.size] = filled.ravel()


def repaint(model: mujoco.MjModel, original: mujoco.MjModel, rng: np.random.Generator) -> None:
    """New colours for all materials and geoms, starting from the `original` model's.

    Parts of one colour keep one colour. A quarter of the calls only vary the shade.
    """
    mild = rng.random() < 0.25
    for material in range(model.nmat):
        before = original.mat_rgba[material, :3]
        textured = (original.mat_texid[material] >= 0).any()
        keep = mild or textured
        model.mat_rgba[material, :3] = jittered(before, rng) if keep else random_colour(rng)
        model.mat_specular[material] = rng.uniform(0, 0.6)
        model.mat_shininess[material] = rng.uniform(0, 0.8)
    plain = np.flatnonzero(model.geom_matid < 0)
    colours, which = np.unique(original.geom_rgba[plain, :3], axis=0, return_inverse=True)
    for index, before in enumerate(colours):
        colour = jittered(before, rng) if mild or rng.random() < 0.3 else random_colour(rng)
        model.geom_rgba[plain[which.ravel() == index], :3] = colour


def exposed(
    image: UInt8[np.ndarray, "h w 3"], rng: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    """The picture as a camera with automatic exposure gives it: not too dark, little burnt out."""
    wanted = rng.uniform(70, 150) / max(image.mean(), 1)
    gain = np.clip(wanted, 0.6, max(250 / max(np.percentile(image, 95), 1), 1))
    return np.uint8(np.clip(image * gain, 0, 255))


def relight(model: mujoco.MjModel, rng: np.random.Generator) -> None:
    """Random direction, strength and tint of every light; one of them casts a shadow."""
    model.vis.headlight.ambient[:] = rng.uniform(0.1, 0.45)
    model.vis.headlight.diffuse[:] = rng.uniform(0.0, 0.4)
    model.vis.headlight.specular[:] = rng.uniform(0.0, 0.3)
    for light in range(model.nlight):
        direction = np.array([rng.normal(0, 0.6), rng.normal(0, 0.6), -1.0])
        model.light_dir[light] = direction / np.linalg.norm(direction)
        tint = 1 - rng.uniform(0, 0.25, 3)
        model.light_diffuse[light] = rng.uniform(0.1, 0.9) / np.sqrt(model.nlight) * tint
        model.light_specular[light] = rng.uniform(0, 0.3)
        model.light_castshadow[light] = light == 0 and rng.random() < 0.8
