# SPDX-License-Identifier: Apache-2.0
"""Where the axes of a part may be: along its edges and normals, as depth shows them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from fpt_ros.geometry.camera import Camera

FLAT = 0.04
"""A plane's points lie within this share of the size of what it is looked for in."""
TRIPLES = 120
SAME = np.cos(np.radians(6))
FEWEST = 12
SCENE_POINTS = 800


@dataclasses.dataclass(frozen=True)
class Structure:
    """Candidates for axes: directions, and for hinges points that they may pass through."""

    directions: Float[np.ndarray, "d 3"]
    """Unit: the part's normal, its rectangle's two edges, the scene's main normal, and up."""
    pivots: Float[np.ndarray, "q 3"]
    """The rectangle's middle and the middles of its sides, metres in the optical frame."""
    size: float
    """The rectangle's longer side, metres."""
    planarity: float
    """Share of the part's points that lie in its plane."""


def find_structure(
    part: Float[np.ndarray, "n 3"],
    scene: Float[np.ndarray, "m 3"],
    up: Float[np.ndarray, " 3"] | None = None,
) -> Structure | None:
    """Of a part's visible points and the whole scene's [m]; None for fewer than FEWEST points."""
    if len(part) < FEWEST:
        return None
    rng = np.random.default_rng(0)
    size = 2 * float(np.median(np.linalg.norm(part - np.median(part, axis=0), axis=1)))
    normal, flat = find_plane(part, FLAT * size, rng)
    middle = part[flat].mean(0)
    right = np.linalg.svd(np.outer(normal, normal))[0][:, 1]
    frame = np.stack([right, np.cross(normal, right)])
    inside = ((part[flat] - middle) @ frame.T).astype(np.float32)
    corners = cv2.boxPoints(cv2.minAreaRect(inside)).astype(float)
    sides = np.stack([corners[1] - corners[0], corners[2] - corners[1]]) @ frame
    lengths = np.maximum(np.linalg.norm(sides, axis=1), 1e-6)
    directions = [normal, *(sides / lengths[:, None])]
    if len(scene) >= FEWEST:
        spread = float(np.median(np.abs(scene - np.median(scene, axis=0)).sum(1)))
        directions.append(find_plane(scene, FLAT * spread, rng)[0])
    if up is not None and np.linalg.norm(up) > 0:
        directions.append(np.asarray(up, float) / np.linalg.norm(up))
    centre = middle + corners.mean(0) @ frame
    edges = middle + 0.5 * (corners + np.roll(corners, -1, axis=0)) @ frame
    return Structure(
        different(np.array(directions)),
        np.vstack([centre, edges]),
        float(lengths.max()),
        float(flat.mean()),
    )


def find_plane(
    points: Float[np.ndarray, "n 3"], slack: float, rng: np.random.Generator
) -> tuple[Float[np.ndarray, " 3"], Bool[np.ndarray, " n"]]:
    """Unit normal of the plane that most points lie in, and which these are (RANSAC)."""
    corners = points[rng.integers(len(points), size=(TRIPLES, 3))]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    offsets = np.abs(points @ normals.T - (corners[:, 0] * normals).sum(1))
    inside = (offsets < slack) & (np.linalg.norm(normals, axis=1) > 0.5)
    near = inside[:, inside.sum(0).argmax()]
    if near.sum() < 3:
        near = np.ones(len(points), bool)
    middle = points[near].mean(0)
    normal = np.linalg.svd(points[near] - middle, full_matrices=False)[2][2]
    return normal, np.abs((points - middle) @ normal) < max(slack, 1e-9)


def different(directions: Float[np.ndarray, "d 3"]) -> Float[np.ndarray, "k 3"]:
    """Without those that lie along an earlier one."""
    kept: list[np.ndarray] = []
    for direction in directions:
        if all(abs(direction @ other) < SAME for other in kept):
            kept.append(direction)
    return np.array(kept)


def seen_points(
    camera: Camera,
    depth: Float[np.ndarray, "h w"],
    mask: Bool[np.ndarray, "h w"] | None,
    most: int,
) -> Float[np.ndarray, "n 3"]:
    """At most so many evenly chosen points [m] with depth, of the mask or of the whole image."""
    valid = np.isfinite(depth) if mask is None else np.isfinite(depth) & mask
    pixels = np.flatnonzero(valid)
    chosen = pixels[np.linspace(0, len(pixels) - 1, min(most, len(pixels))).astype(int)]
    rows, columns = np.unravel_index(chosen, depth.shape)
    return camera.unproject(np.column_stack([columns, rows]), depth[rows, columns])
