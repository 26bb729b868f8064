# SPDX-License-Identifier: Apache-2.0
"""Which pokes a planner may choose."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from fpt_ros.planning.checks import area, inside, not_negative, positive

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from numpy.typing import ArrayLike

Constraint: TypeAlias = "Callable[[Float[np.ndarray, 'm p 4']], Bool[np.ndarray, ' m']]"
Cost: TypeAlias = "Callable[[Float[np.ndarray, 'm p 4']], Float[np.ndarray, ' m']]"
ROUNDING = 1e-6
"""Pixels that a poke's length may be off."""
TRIES = 16
"""Times that pokes are drawn before too few are taken."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """Where pokes may begin and end and how long they may be, in pixels; checked."""

    touchable: Bool[np.ndarray, "h w"]
    ends: Bool[np.ndarray, "h2 w2"] | None
    """Where they may end; None: anywhere."""
    shortest: float
    reach: float
    """The longest."""
    constraint: Constraint | None

    @classmethod
    def checked(
        cls,
        touchable: ArrayLike,
        ends: ArrayLike | None,
        shortest: float,
        reach: float,
        constraint: Constraint | None,
    ) -> Limits:
        longest = positive("reach", reach)
        if not_negative("shortest", shortest) > longest:
            raise ValueError(f"shortest is {shortest}: must be at most reach, {reach}")
        end_mask = None if ends is None else area("ends", ends)
        return cls(area("touchable", touchable), end_mask, float(shortest), longest, constraint)

    def fitted(self, pokes: Float[np.ndarray, "m p 4"]) -> Float[np.ndarray, "m p 4"]:
        """The pokes with their lengths within the limits; one of no length stays as it is."""
        length = np.linalg.norm(pokes[..., 2:], axis=-1, keepdims=True)
        factor = np.clip(length, self.shortest, self.reach) / np.maximum(length, 1e-9)
        return np.concatenate([pokes[..., :2], pokes[..., 2:] * factor], -1)

    def allows(self, pokes: Float[np.ndarray, "m p 4"]) -> Bool[np.ndarray, " m"]:
        """Whether all pokes of each candidate are within all limits."""
        length = np.linalg.norm(pokes[..., 2:], axis=-1)
        allowed = (length >= self.shortest - ROUNDING) & (length <= self.reach + ROUNDING)
        allowed &= inside(self.touchable, pokes[..., :2])
        if self.ends is not None:
            allowed &= inside(self.ends, pokes[..., :2] + pokes[..., 2:])
        candidates = allowed.all(1)
        if self.constraint is not None and candidates.any():
            met = np.asarray(self.constraint(pokes[candidates]))
            if met.shape != (candidates.sum(),):
                raise ValueError(
                    f"constraint gave shape {met.shape}: must be [{candidates.sum()}], as pokes"
                )
            candidates[candidates] = met.astype(bool)
        return candidates

    def allowed(
        self, draw: Callable[[int], Float[np.ndarray, "k p 4"]], count: int
    ) -> Float[np.ndarray, "count p 4"]:
        """That many pokes as `draw` gives them, those within all limits; fewer where hardly any
        are."""
        kept: list[Float[np.ndarray, "k p 4"]] = []
        for _ in range(TRIES):
            pokes = self.fitted(draw(2 * count))
            kept.append(pokes[self.allows(pokes)])
            if sum(map(len, kept)) >= count:
                break
        return np.concatenate(kept)[:count]
