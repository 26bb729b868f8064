# SPDX-License-Identifier: Apache-2.0
"""Slides and hinges from which dense alignment starts. Metres from the part's middle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.geometry.structure import FLAT, find_plane, find_structure

if TYPE_CHECKING:
    from jaxtyping import Float

    Plane = tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]
    """Normal and a place."""

WAYS = (5.0, 10.0, 20.0, 40.0)
"""Pixels that are tried."""
ARMS, ANGLES = (0.4, 0.7, 1.2, 2.5), (10.0, 25.0)
"""Hinges that are tried: how far off in sizes of the part; pixels of turns about its middle."""
PARALLEL = 0.02
"""Sine of the angle between two planes that meet nowhere."""


def slide_starts(unit: float) -> Float[np.ndarray, "h 3"]:
    """Slides in all directions, by WAYS. `unit`: metres that are a pixel at the part."""
    return (sphere(100)[:, None] * (np.array(WAYS) * unit)[:, None]).reshape(-1, 3)


def hinge_starts(
    slides: Float[np.ndarray, "h 3"], unit: float, size: float
) -> Float[np.ndarray, "t 6"]:
    """Hinges that move the middle like a slide, or not at all. `size`: of the part."""
    rng = np.random.default_rng(0)
    way = np.linalg.norm(slides, axis=1, keepdims=True)
    axes = sphere(60)
    hinges = [np.hstack([axes * a * unit / (0.5 * size), 0 * axes]) for a in ANGLES]
    for arm in np.repeat(ARMS, 3) * size:
        axis = np.cross(slides, rng.normal(size=slides.shape))
        axis /= np.linalg.norm(axis, axis=1, keepdims=True)
        hinges.append(np.hstack([axis * way / arm, arm * np.cross(axis, slides / way)]))
    return np.concatenate(hinges)


def edge_turns(points: Float[np.ndarray, "n 3"], unit: float) -> Float[np.ndarray, "h 6"]:
    """Hinges along the edges and the normal of points, through their middle and sides."""
    structure = find_structure(points, np.empty((0, 3)))
    if structure is None:
        return np.empty((0, 6))
    amounts = np.concatenate([WAYS, -np.array(WAYS)]) * unit / (0.5 * structure.size)
    d, p, a = np.meshgrid(
        np.arange(len(structure.directions)), np.arange(len(structure.pivots)), amounts,
        indexing="ij",
    )  # fmt: skip
    turns = structure.directions[d.ravel()] * a.reshape(-1, 1)
    return np.hstack([turns, structure.pivots[p.ravel()]])


def plane_of(
    points: Float[np.ndarray, "n 3"], centre: Float[np.ndarray, " 3"], size: float
) -> Plane:
    """That most points lie in; its normal points towards the camera, which is at -centre."""
    normal, near = find_plane(points, FLAT * size, np.random.default_rng(0))
    middle = points[near].mean(0)
    return -np.sign(normal @ (middle + centre)) * normal, middle


def turn_of_planes(before: Plane, after: Plane) -> Float[np.ndarray, "t 6"]:
    """The hinge along the line where two planes meet, as of a door; none of parallel ones."""
    cross = np.cross(before[0], after[0])
    sine = float(np.linalg.norm(cross))
    if sine < PARALLEL:
        return np.empty((0, 6))
    axis = cross / sine
    turn = axis * np.arctan2(sine, before[0] @ after[0])
    middle = 0.5 * (before[1] + after[1])
    levels = [before[0] @ before[1], after[0] @ after[1], axis @ middle]
    return np.concatenate([turn, np.linalg.solve([before[0], after[0], axis], levels)])[None]


def sphere(count: int) -> Float[np.ndarray, "n 3"]:
    """Directions evenly over the sphere, in a Fibonacci spiral."""
    index = np.arange(count) + 0.5
    z, turn = 1 - 2 * index / count, np.pi * (1 + 5**0.5) * index
    across = np.sqrt(1 - z**2)
    return np.column_stack([across * np.cos(turn), across * np.sin(turn), z])
