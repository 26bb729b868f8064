# SPDX-License-Identifier: Apache-2.0
"""Random colours, textures and light, so that a network cannot rely on any of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import mujoco
import numpy as np

from fpt_ros.simulation.textures import random_colour, random_texture

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8


def jittered(colour: Float[np.ndarray, " 3"], rng: np.random.Generator) -> Float[np.ndarray, " 3"]:
    return np.clip(colour * rng.uniform(0.7, 1.2) + rng.normal(0, 0.05, 3), 0, 1)


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
