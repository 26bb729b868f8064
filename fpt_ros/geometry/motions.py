# SPDX-License-Identifier: Apache-2.0
"""Rigid motions with few parameters: slides, hinges and free ones, many at once.

A family's parameters [h, k] are h motions; points [n, 3] are metres from the part's middle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

SMALLEST = 1e-9
"""Radians below which a turn has no direction."""
TURN, SHIFT = 1.0, 0.25
"""Weak knowledge of every motion, one standard deviation: radians, metres, and metres from the
part's middle to the axis. It keeps little evidence in pixels from becoming metres in depth."""


class Slide:
    """x + t. Parameters: t."""

    count, free = 3, 3.0
    scale: ClassVar = np.full(3, SHIFT)

    def moved(
        self, parameters: Float[np.ndarray, "h 3"], points: Float[np.ndarray, "n 3"]
    ) -> Float[np.ndarray, "h n 3"]:
        return points + parameters[:, None]

    def jacobian(
        self, parameters: Float[np.ndarray, "h 3"], points: Float[np.ndarray, "n 3"]
    ) -> Float[np.ndarray, "h n 3 3"]:
        """Of the moved points by the parameters."""
        return np.broadcast_to(np.eye(3), (len(parameters), len(points), 3, 3))

    def turning(self, parameters: Float[np.ndarray, "h 3"]) -> Float[np.ndarray, "h 3 3"]:
        """Of a small further turn [rad] by the parameters."""
        return np.zeros((len(parameters), 3, 3))

    def pose(
        self, parameters: Float[np.ndarray, " 3"]
    ) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, " 3"]]:
        """Rotation and shift."""
        return np.eye(3), parameters


class Hinge:
    """R(w) (x - p) + p. Parameters: the turn w [rad], a point p of the axis; one is idle."""

    count, free = 6, 5.0
    scale: ClassVar = np.array([TURN] * 3 + [SHIFT] * 3)

    def moved(
        self, parameters: Float[np.ndarray, "h 6"], points: Float[np.ndarray, "n 3"]
    ) -> Float[np.ndarray, "h n 3"]:
        pivot = parameters[:, None, 3:]
        return (points - pivot) @ rotations(parameters[:, :3]).mT + pivot

    def jacobian(
        self, parameters: Float[np.ndarray, "h 6"], points: Float[np.ndarray, "n 3"]
    ) -> Float[np.ndarray, "h n 3 6"]:
        """Of the moved points by the parameters."""
        turn, pivot = rotations(parameters[:, :3]), parameters[:, None, 3:]
        arms = (points - pivot) @ turn.mT
        by_turn = -skew(arms) @ self.turning(parameters)[:, None, :, :3]
        by_pivot = np.broadcast_to((np.eye(3) - turn)[:, None], by_turn.shape)
        return np.concatenate([by_turn, by_pivot], axis=-1)

    def turning(self, parameters: Float[np.ndarray, "h 6"]) -> Float[np.ndarray, "h 3 6"]:
        """Of a small further turn [rad] by the parameters."""
        by_turn = left_jacobians(parameters[:, :3])
        return np.concatenate([by_turn, np.zeros_like(by_turn)], axis=-1)

    def pose(
        self, parameters: Float[np.ndarray, " 6"]
    ) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, " 3"]]:
        """Rotation and shift."""
        [turn] = rotations(parameters[None, :3])
        return turn, parameters[3:] - turn @ parameters[3:]


class Free:
    """R(w) x + t. Parameters: the turn w [rad] about the part's middle, and its shift t."""

    count, free = 6, 6.0
    scale: ClassVar = np.array([TURN] * 3 + [SHIFT] * 3)

    def moved(
        self, parameters: Float[np.ndarray, "h 6"], points: Float[np.ndarray, "n 3"]
    ) -> Float[np.ndarray, "h n 3"]:
        return points @ rotations(parameters[:, :3]).mT + parameters[:, None, 3:]

    def jacobian(
        self, parameters: Float[np.ndarray, "h 6"], points: Float[np.ndarray, "n 3"]
    ) -> Float[np.ndarray, "h n 3 6"]:
        """Of the moved points by the parameters."""
        arms = points @ rotations(parameters[:, :3]).mT
        by_turn = -skew(arms) @ self.turning(parameters)[:, None, :, :3]
        by_shift = np.broadcast_to(np.eye(3), by_turn.shape)
        return np.concatenate([by_turn, by_shift], axis=-1)

    def turning(self, parameters: Float[np.ndarray, "h 6"]) -> Float[np.ndarray, "h 3 6"]:
        """Of a small further turn [rad] by the parameters."""
        by_turn = left_jacobians(parameters[:, :3])
        return np.concatenate([by_turn, np.zeros_like(by_turn)], axis=-1)

    def pose(
        self, parameters: Float[np.ndarray, " 6"]
    ) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, " 3"]]:
        """Rotation and shift."""
        [turn] = rotations(parameters[None, :3])
        return turn, parameters[3:]


Motion = Slide | Hinge | Free


def inverse(motion: Motion, parameters: Float[np.ndarray, "h k"]) -> Float[np.ndarray, "h k"]:
    """Parameters of the motions back."""
    back = parameters.copy()
    back[:, :3] *= -1
    if isinstance(motion, Free):
        back[:, 3:] = -(rotations(back[:, :3]) @ parameters[:, 3:, None])[..., 0]
    return back


def inverse_slope(
    motion: Motion, parameters: Float[np.ndarray, "h k"]
) -> Float[np.ndarray, "h k k"]:
    """Of the parameters of the motions back by those of the motions."""
    slope = np.zeros((*parameters.shape, motion.count))
    slope[:, :3, :3] = -np.eye(3)
    if isinstance(motion, Hinge):
        slope[:, 3:, 3:] = np.eye(3)
    elif isinstance(motion, Free):
        turn = rotations(-parameters[:, :3])
        shift = (turn @ parameters[:, 3:, None])[..., 0]
        slope[:, 3:, :3] = -skew(shift) @ left_jacobians(-parameters[:, :3])
        slope[:, 3:, 3:] = -turn
    return slope


def skew(vectors: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3 3"]:
    """Matrices of the cross product with vectors."""
    matrices = np.zeros((*vectors.shape, 3))
    for row, column, axis, sign in ((0, 1, 2, -1), (0, 2, 1, 1), (1, 2, 0, -1)):
        matrices[..., row, column] = sign * vectors[..., axis]
        matrices[..., column, row] = -sign * vectors[..., axis]
    return matrices


def rotations(turns: Float[np.ndarray, "h 3"]) -> Float[np.ndarray, "h 3 3"]:
    """Rotation matrices of rotation vectors (Rodrigues)."""
    angle = np.linalg.norm(turns, axis=-1)[:, None, None]
    cross = skew(turns)
    first = np.sinc(angle / np.pi)
    second = 0.5 * np.sinc(angle / (2 * np.pi)) ** 2
    return np.eye(3) + first * cross + second * (cross @ cross)


def left_jacobians(turns: Float[np.ndarray, "h 3"]) -> Float[np.ndarray, "h 3 3"]:
    """How small changes of rotation vectors turn what is turned already (T. Barfoot, State
    Estimation for Robotics, 2017, section 7.1.5)."""
    angle = np.linalg.norm(turns, axis=-1)[:, None, None]
    cross = skew(turns)
    square = np.maximum(angle, 1e-4) ** 2
    first = 0.5 * np.sinc(angle / (2 * np.pi)) ** 2
    second = np.where(angle > 1e-3, (1 - np.sinc(angle / np.pi)) / square, 1 / 6)
    return np.eye(3) + first * cross + second * (cross @ cross)


def rotation_vector(rotation: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, " 3"]:
    """Of a rotation by less than half a turn."""
    axis = 0.5 * np.array(
        [
            rotation[2, 1] - rotation[1, 2],
            rotation[0, 2] - rotation[2, 0],
            rotation[1, 0] - rotation[0, 1],
        ]
    )
    sine = np.linalg.norm(axis)
    angle = np.arctan2(sine, 0.5 * (np.trace(rotation) - 1))
    return axis * (angle / sine if sine > SMALLEST else 1.0)


def hinge_of(free: Float[np.ndarray, "h 6"]) -> Float[np.ndarray, "h 6"]:
    """The hinges that come closest to free motions: about their screws' axes, which pass through
    p = 1/2 (t' + w x t' / tan(a / 2)), with t' the shift across the axis w and a the angle."""
    turn, shift = free[:, :3], free[:, 3:]
    angle = np.maximum(np.linalg.norm(turn, axis=1, keepdims=True), SMALLEST)
    axis = turn / angle
    across = shift - axis * (axis * shift).sum(1, keepdims=True)
    pivot = 0.5 * (across + np.cross(axis, across) / np.tan(0.5 * np.clip(angle, 1e-3, 3)))
    return np.concatenate([turn, pivot], axis=1)
