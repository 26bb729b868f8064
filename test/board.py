# SPDX-License-Identifier: Apache-2.0
"""A textured board before a textured wall, drawn exactly, with depth, for tests of joints."""

from __future__ import annotations

import cv2
import numpy as np

from fpt_ros.geometry import Camera

CAMERA = Camera(300.0, 300.0, 159.5, 119.5, 320, 240)
SIZE = np.array([0.34, 0.24])
"""Of the board, metres."""
WALL = 1.2
"""Metres ahead."""
TILT = cv2.Rodrigues(np.array([0.15, -0.35, 0.1]))[0]
CENTRE = np.array([0.02, 0.01, 0.75])
HINGE = CENTRE - TILT[:, 0] * SIZE[0] / 2
"""A point of the board's left edge."""


def turned(angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Rotation and translation of a turn about the board's left edge [rad]."""
    rotation = cv2.Rodrigues(angle * TILT[:, 1])[0]
    return rotation, HINGE - rotation @ HINGE


def slid(length: float) -> tuple[np.ndarray, np.ndarray]:
    """Rotation and translation of a slide along the board's normal, to the camera [m]."""
    return np.eye(3), -length * TILT[:, 2]


STILL = np.eye(3), np.zeros(3)


def draw(motion: tuple[np.ndarray, np.ndarray] = STILL) -> tuple[np.ndarray, np.ndarray]:
    """RGB image and depth [m] of the board after a rigid motion."""
    rotation, shift = motion
    axes, middle = rotation @ TILT, rotation @ CENTRE + shift
    y, x = np.mgrid[: CAMERA.height, : CAMERA.width].astype(float)
    rays = np.concatenate(
        [CAMERA.rays(np.column_stack([x.ravel(), y.ravel()])), np.ones((x.size, 1))], axis=1
    )
    depth = (middle @ axes[:, 2]) / (rays @ axes[:, 2])
    inside = (rays * depth[:, None] - middle) @ axes[:, :2]
    on = (np.abs(inside) < SIZE / 2).all(1) & (depth > 0) & (depth < WALL)
    wall = rays[:, :2] * WALL
    places = np.where(on[:, None], inside, wall).reshape(*x.shape, 2)
    pictures = [_looks(_texture(seed), places) for seed in (1, 2)]
    mask = on.reshape(x.shape)
    image = np.where(mask[..., None], pictures[0], pictures[1] // 2 + 60).astype(np.uint8)
    return image, np.where(mask, depth.reshape(x.shape), WALL).astype(np.float32)


def mask() -> np.ndarray:
    return draw()[1] < WALL


def pokes(motion: tuple[np.ndarray, np.ndarray], count: int = 4) -> np.ndarray:
    """Exact ones [P, 6] of points of the board [m]."""
    rng = np.random.default_rng(3)
    inside = rng.uniform((0.2, -0.4), 0.4, (count, 2)) * SIZE  # the first far from the hinge
    inside[1::2, 0] *= -1
    start = CENTRE + inside @ TILT[:, :2].T
    rotation, shift = motion
    return np.hstack([start, start @ (rotation - np.eye(3)).T + shift])


def in_pixels(pokes_3d: np.ndarray) -> np.ndarray:
    """The same as the camera sees them [P, 4]."""
    start = CAMERA.project(pokes_3d[:, :3])
    end = CAMERA.project(pokes_3d[:, :3] + pokes_3d[:, 3:])
    return np.hstack([start, end - start]).astype(np.float32)


def _texture(seed: int) -> np.ndarray:
    """Of a square metre."""
    noise = np.random.default_rng(seed).uniform(0, 255, (160, 160, 3)).astype(np.float32)
    return cv2.resize(noise, (1200, 1200), interpolation=cv2.INTER_CUBIC).clip(0, 255)


def _looks(texture: np.ndarray, places: np.ndarray) -> np.ndarray:
    at = ((places + 0.5) * 600 + 300).astype(np.float32)
    return cv2.remap(
        texture, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
