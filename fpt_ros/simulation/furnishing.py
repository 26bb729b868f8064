# SPDX-License-Identifier: Apache-2.0
"""What stands on a procedural table: mechanisms, and loose things alone or in piles."""

from __future__ import annotations

import mujoco
import numpy as np

from fpt_ros.simulation.contraption import RADIUS, contraption
from fpt_ros.simulation.loose import FLAT, LOOSE
from fpt_ros.simulation.mechanisms import MECHANISMS
from fpt_ros.simulation.room import TABLE
from fpt_ros.simulation.spot import FREE_JOINT, Spot
from fpt_ros.simulation.unseen import UNSEEN

MORE_ARMS = 0.08
"""Of mechanisms, beside those that are arms by lot."""


def free_place(
    taken: list[tuple[float, float, float]], radius: float, rng: np.random.Generator
) -> tuple[float, float] | None:
    """A place on the table where a disc of this radius touches none of those taken."""
    for _ in range(40):
        x, y = rng.uniform(-1, 1, 2) * (np.array(TABLE) - min(radius, 0.2))
        if all(np.hypot(x - a, y - b) > radius + r for a, b, r in taken):
            taken.append((x, y, radius))
            return x, y
    return None


def add_mechanisms(
    spec: mujoco.MjSpec,
    unseen: bool,
    materials: list[str],
    taken: list[tuple[float, float, float]],
    rng: np.random.Generator,
    contraptions: float = 0.0,
) -> list[str]:
    """One to three mechanisms, in training now and then none; their names.

    Args:
        contraptions: share of them that are things nobody designed.
    """
    kinds, names = UNSEEN if unseen else MECHANISMS, []
    count = 1 if unseen else rng.choice([0, 1, 2, 3], p=[0.06, 0.38, 0.36, 0.2])
    for _ in range(int(count)):
        name, scale = str(rng.choice(list(kinds))), float(rng.uniform(0.7, 1.5))
        if not unseen and rng.random() < MORE_ARMS:
            name = "arm"
        builder, radius = kinds[name]
        if contraptions and rng.random() < contraptions:
            name, builder, radius = "contraption", contraption, RADIUS
        place = free_place(taken, scale * radius, rng)
        if place:
            yaw = rng.uniform(-0.6, 0.6)
            body = spec.worldbody.add_body(pos=[*place, 0], quat=about_z(yaw))
            builder(Spot(body, palette(materials, rng), rng, spec.worldbody, scale))
            names.append(name)
    return names


def add_pile(
    spec: mujoco.MjSpec,
    place: tuple[float, float],
    materials: list[str],
    rng: np.random.Generator,
) -> list[str]:
    """A loose thing, or a pile of up to four; their names."""
    count = int(rng.choice([1, 2, 3, 4], p=[0.65, 0.2, 0.1, 0.05]))
    names, top = [], 0.0
    for level in range(count):
        body = spec.worldbody.add_body()
        name = add_loose(body, materials, rng, only_flat=level < count - 1)
        half = body.pos[2]
        shift = rng.normal(0, 0.006, 2) * (level > 0)
        body.pos = [place[0] + shift[0], place[1] + shift[1], top + half + 0.0005]
        names.append(name)
        top += 2 * half
    return names


def add_loose(
    body: mujoco.MjsBody,
    materials: list[str],
    rng: np.random.Generator,
    only_flat: bool = False,
) -> str:
    """Make a loose thing of `body`, standing at height zero; its name."""
    kinds, scale = FLAT if only_flat else LOOSE, float(rng.uniform(0.7, 1.5))
    name = str(rng.choice(list(kinds)))
    half = scale * kinds[name](Spot(body, palette(materials, rng), rng, scale=scale), body)
    body.pos = [0, 0, half]
    body.quat = about_z(rng.uniform(-np.pi, np.pi))
    body.add_joint(type=FREE_JOINT)
    return name


def about_z(angle: float) -> list[float]:
    return [np.cos(angle / 2), 0, 0, np.sin(angle / 2)]


def palette(materials: list[str], rng: np.random.Generator) -> list[str]:
    """Three materials: body, moving part and handle; the first two are sometimes one."""
    chosen = [str(name) for name in rng.choice(materials, 3, replace=False)]
    if rng.random() < 0.35:
        chosen[1] = chosen[0]
    return chosen
