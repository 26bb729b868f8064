# SPDX-License-Identifier: Apache-2.0
"""Things that nobody designed: random solids on a random base, on random joints.

A drawer moves as drawers do. On these only what is seen tells what hangs together and how it is
held, which is all that one knows of a thing never seen before.
"""

from __future__ import annotations

import mujoco
import numpy as np

from fpt_ros.simulation.spot import BOX, CAPSULE, CYLINDER, GEOM, JOINT, SPHERE, Spot

ELLIPSOID = GEOM.mjGEOM_ELLIPSOID
LYING = [(0.0, np.pi / 2, 0.0), (np.pi / 2, 0.0, 0.0), (0.0, 0.0, 0.0)]
"""Turns from z to x, y and z."""
FACES = np.array([[0, 0, 1], [0, -1, 0], [-1, 0, 0], [1, 0, 0]], float)
"""Of the base, where parts are held: top, front, left and right."""
GAP, TINY = 0.002, 1e-6
RADIUS = 0.2
"""Metres; of the room that it needs on the table."""


def contraption(spot: Spot) -> None:
    """A base of one to three solids, and one to three parts that turn or slide on it."""
    base = np.array([*spot.rng.uniform(0.015, 0.1, 2), spot.uniform(0.008, 0.09)])
    middle = np.array([0, 0, base[2]])
    solid(spot, base, middle, 0)
    decorate(spot, base, middle, 0, int(spot.rng.choice([0, 1, 2], p=[0.5, 0.3, 0.2])))
    for number in range(int(spot.rng.choice([1, 2, 3], p=[0.55, 0.3, 0.15]))):
        moving_part(spot, base, middle, 1 + number)


def moving_part(spot: Spot, base: np.ndarray, middle: np.ndarray, colour: int) -> None:
    """A part before a face of the base. It turns or slides, but not straight into the base."""
    out = FACES[spot.rng.choice(len(FACES), p=[0.4, 0.36, 0.12, 0.12])]
    along = out == 0
    half = 0.006 * np.exp(spot.rng.uniform(0, np.log(16), 3))
    half[~along] *= spot.uniform(0.3, 1)
    held_at = middle + base * (out + along * spot.rng.uniform(-0.9, 0.9, 3))
    before = out * (half + GAP)
    aside = along * half * spot.rng.choice([0, 1], 3) * spot.rng.uniform(-1, 1, 3)
    flat = spot.chance(0.5)
    axis = np.eye(3)[spot.rng.choice(np.flatnonzero(along))] if flat else np.abs(out)
    if spot.chance(0.2):
        axis = axis + spot.rng.normal(0, 0.3, 3)
    if spot.chance(0.4):
        joint, reach = JOINT.mjJNT_SLIDE, spot.uniform(0.03, 0.14)
        outwards = axis @ out
    else:
        joint, reach = JOINT.mjJNT_HINGE, spot.uniform(0.5, 2.5)
        if flat:  # held at an edge, as a lid is
            aside = along * (axis == 0) * half * spot.rng.choice([-1, 1])
        outwards = np.cross(axis, before + aside) @ out if flat else 0.0
    low = 0.0 if outwards > TINY else -reach
    high = 0.0 if outwards < -TINY else reach
    body = spot.moving(joint, tuple(axis), (low, high), tuple(held_at))
    solid(spot, half, before + aside, colour, body)
    count = int(spot.rng.choice([0, 1, 2, 3], p=[0.35, 0.3, 0.2, 0.15]))
    decorate(spot, half, before + aside, colour, count, body)


def decorate(
    spot: Spot,
    half: np.ndarray,
    centre: np.ndarray,
    colour: int,
    count: int,
    body: mujoco.MjsBody | None = None,
) -> None:
    """Smaller solids on a solid's faces, some in another colour."""
    for _ in range(count):
        face = FACES[spot.rng.integers(len(FACES))]
        small = half * spot.rng.uniform(0.15, 0.9, 3) + 0.003
        place = centre + face * (half + 0.7 * small)
        place += (face == 0) * half * spot.rng.uniform(-0.8, 0.8, 3)
        solid(spot, small, place, colour + int(spot.rng.integers(2)), body)


def solid(
    spot: Spot,
    half: np.ndarray,
    centre: np.ndarray,
    colour: int,
    body: mujoco.MjsBody | None = None,
) -> None:
    """A box, cylinder, capsule, ball or ellipsoid of about these half sizes."""
    role = "fixed" if body is None else "mechanism"
    shape = spot.rng.choice(5, p=[0.5, 0.25, 0.12, 0.05, 0.08])
    size, euler = half, (0.0, 0.0, 0.0)
    kind = (BOX, CYLINDER, CAPSULE, SPHERE, ELLIPSOID)[shape]
    if kind in (CYLINDER, CAPSULE):
        long = int(np.argmax(half)) if kind == CAPSULE else int(spot.rng.integers(3))
        size = np.array([np.delete(half, long).min(), half[long]])
        euler = LYING[long]
    elif kind == SPHERE:
        size = half.min(keepdims=True)
    spot.part(kind, size.tolist(), tuple(centre), colour, body, role, euler)
