# SPDX-License-Identifier: Apache-2.0
"""Where a procedural scene happens: table, floor, walls, light, and things that never move."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mujoco
import numpy as np

from fpt_ros.simulation import textures
from fpt_ros.simulation.spot import BOX, COLLISION, CYLINDER, FRICTION

if TYPE_CHECKING:
    from jaxtyping import Float

TEXTURES, TEXTURE_SIDE, WALL_SIDE = 6, 64, 128
TABLE = (0.55, 0.42)
"""Half width and half depth of the table top, whose surface is at height zero."""
FLOOR = -0.75


def add_materials(spec: mujoco.MjSpec, rng: np.random.Generator) -> list[str]:
    """Plain and textured materials for things (cube textures, so that no face is smeared)."""
    names = []
    for index in range(2 * TEXTURES):
        name, textured = f"material{index}", index < TEXTURES
        colour = np.ones(3) if textured else textures.random_colour(rng)
        material = spec.add_material(name=name, rgba=[*colour, 1])
        if textured:
            add_texture(spec, name, mujoco.mjtTexture.mjTEXTURE_CUBE, TEXTURE_SIDE)
            material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
        names.append(name)
    return names


def add_texture(spec: mujoco.MjSpec, name: str, kind: mujoco.mjtTexture, side: int) -> None:
    """Room for a texture; its picture is painted after compilation."""
    height = side * (1 if kind == mujoco.mjtTexture.mjTEXTURE_2D else 6)
    flat = mujoco.mjtBuiltin.mjBUILTIN_FLAT
    spec.add_texture(name=name, type=kind, builtin=flat, width=side, height=height)


def add_room(spec: mujoco.MjSpec, rng: np.random.Generator) -> None:
    """Table, floor, sky, lights, and in half of the scenes walls behind or beside the table."""
    for name in ("table", "floor", "wall"):
        add_texture(spec, name, mujoco.mjtTexture.mjTEXTURE_2D, WALL_SIDE)
        repeat = rng.uniform(0.5, 4, 2)
        material = spec.add_material(name=name, texrepeat=repeat, rgba=[1, 1, 1, 1])
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    add_texture(spec, "sky", mujoco.mjtTexture.mjTEXTURE_SKYBOX, TEXTURE_SIDE)
    add_still(spec, [*TABLE, 0.02], [0, 0, -0.02], "table")
    add_still(spec, [4, 4, 0.1], [0, 0, FLOOR], "floor", mujoco.mjtGeom.mjGEOM_PLANE)
    if rng.random() < 0.6:
        back = rng.uniform(0.45, 1.2)
        add_still(spec, [3, 0.02, 1.5], [0, back, 0.6], "wall")
        if rng.random() < 0.4:
            side = rng.choice([-1, 1]) * rng.uniform(0.7, 1.5)
            add_still(spec, [0.02, 3, 1.5], [side, 0, 0.6], "wall")
    for _ in range(int(rng.integers(1, 4))):
        spec.worldbody.add_light(
            pos=[*rng.uniform(-1, 1, 2), rng.uniform(1.5, 2.5)],
            dir=[0, 0, -1],
            directional=bool(rng.random() < 0.7),
            cutoff=80,
        )


def add_still(
    spec: mujoco.MjSpec,
    size: list[float],
    pos: Float[np.ndarray, " 3"] | list[float],
    material: str,
    shape: mujoco.mjtGeom = BOX,
    turn: float = 0.0,
) -> None:
    contype, conaffinity = COLLISION["fixed"]
    spec.worldbody.add_geom(
        type=shape,
        size=size + [0.0] * (3 - len(size)),
        pos=pos,
        quat=[np.cos(turn / 2), 0, 0, np.sin(turn / 2)],
        material=material,
        contype=contype,
        conaffinity=conaffinity,
        friction=[FRICTION["fixed"][0], 0.005, 0.0001],
    )


def add_clutter(spec: mujoco.MjSpec, materials: list[str], rng: np.random.Generator) -> None:
    """Things behind and beside the table that never move: on shelves, and on the floor."""
    for _ in range(int(rng.integers(0, 7))):
        angle = rng.uniform(-0.3, np.pi + 0.3)
        place = rng.uniform(0.75, 1.3) * np.array([np.cos(angle), np.sin(angle)])
        high = rng.uniform(0.1, 0.7)
        add_one(spec, [*place, FLOOR], rng.uniform(0.05, 0.3), high, materials, rng)
    for _ in range(int(rng.choice([0, 1, 2], p=[0.6, 0.25, 0.15]))):
        z, y, half = rng.uniform(0.1, 0.6), rng.uniform(0.5, 0.8), rng.uniform(0.2, 0.8)
        x = rng.uniform(-0.4, 0.4)
        add_still(spec, [half, 0.09, 0.01], [x, y, z - 0.01], str(rng.choice(materials)))
        for _ in range(int(rng.integers(0, 6))):
            on_it = [x + rng.uniform(-half, half), y, z]
            add_one(spec, on_it, rng.uniform(0.02, 0.08), rng.uniform(0.02, 0.12), materials, rng)


def add_one(
    spec: mujoco.MjSpec,
    place: list[float],
    radius: float,
    high: float,
    materials: list[str],
    rng: np.random.Generator,
) -> None:
    """A box or cylinder that stands at `place`. high: half its height."""
    middle = [place[0], place[1], place[2] + high]
    material, turn = str(rng.choice(materials)), rng.uniform(-np.pi, np.pi)
    if rng.random() < 0.35:
        add_still(spec, [radius, high], middle, material, CYLINDER)
    else:
        deep = radius * rng.uniform(0.3, 1)
        add_still(spec, [radius, deep, high], middle, material, turn=turn)
