# SPDX-License-Identifier: Apache-2.0
"""What a caller may ask: a request's fields as arrays, or the error that refuses them.

Pokes are any objects with the fields of msg/Poke, candidates any with those of msg/PokeArray.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fpt_ros.engine.errors import RequestError, invalid, too_large

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float32

# The released model was trained with up to 128 pokes; it also bounds a request's memory.
MAX_POKES = 128
# Of the image's longer side, that a poke may be long: nothing that a camera sees moves further.
MAX_POKE_LENGTH = 4
# Mixtures of evaluate_pokes and displacements of sample_motion: bounds an answer's memory.
ANSWERS_PER_QUERY = 16


def read_pokes(pokes: Sequence[Any]) -> Float32[np.ndarray, "P 4"]:
    """Rows (x, y, dx, dy) in pixels; RequestError for too many or values that are not finite."""
    if len(pokes) > MAX_POKES:
        raise too_large(f"pokes has {len(pokes)} entries: at most {MAX_POKES} are allowed")
    rows = [(poke.x, poke.y, poke.dx, poke.dy) for poke in pokes]
    array = np.array(rows, np.float32).reshape(-1, 4)
    for column, field in enumerate(("x", "y", "dx", "dy")):
        _check_finite(array[:, column], f"pokes[{{}}].{field}")
    return array


def read_candidates(
    candidates: Sequence[Any], max_candidates: int
) -> list[Float32[np.ndarray, "P 4"]]:
    """The pokes of each candidate as `read_pokes`; RequestError for none or too many, too."""
    if not candidates:
        raise invalid("candidates is empty: at least 1 is needed")
    if len(candidates) > max_candidates:
        raise too_large(
            f"candidates has {len(candidates)} entries: at most {max_candidates} are allowed "
            "(parameter max_candidates)"
        )
    arrays = []
    for i, candidate in enumerate(candidates):
        try:
            arrays.append(read_pokes(candidate.pokes))
        except RequestError as error:
            raise RequestError(error.code, f"candidates[{i}].{error}") from error
    return arrays


def read_points(
    x: Sequence[float], y: Sequence[float], max_queries: int
) -> Float32[np.ndarray, "N 2"]:
    """Rows (x, y) in pixels; RequestError for unequal lengths, too many or not finite values."""
    if len(x) != len(y):
        raise invalid(f"x has {len(x)} entries and y has {len(y)}: must be as many")
    if len(x) > max_queries:
        raise too_large(
            f"x has {len(x)} entries: at most {max_queries} are allowed (parameter max_queries)"
        )
    return _rows(x=x, y=y)


def read_goals(dx: Sequence[float], dy: Sequence[float], count: int) -> Float32[np.ndarray, "N 2"]:
    """Rows (dx, dy) in pixels; RequestError unless there are `count` > 0 finite values of both."""
    if not count:
        raise invalid("x is empty: a goal needs at least 1 point")
    for name, values in (("goal_dx", dx), ("goal_dy", dy)):
        if len(values) != count:
            raise invalid(
                f"{name} has {len(values)} entries: must be as many as x, which has {count}"
            )
    return _rows(goal_dx=dx, goal_dy=dy)


def check_tolerance(tolerance: float) -> None:
    if not (math.isfinite(tolerance) and tolerance > 0):
        raise invalid(f"tolerance is {tolerance}: must be a finite number above 0")


def check_product(what: str, count: int, max_queries: int) -> None:
    """RequestError if an answer of `count` mixtures or displacements would be too large."""
    allowed = ANSWERS_PER_QUERY * max_queries
    if count > allowed:
        raise too_large(
            f"{what} is {count}: at most {allowed} are allowed "
            f"({ANSWERS_PER_QUERY} x parameter max_queries)"
        )


def check_length(pokes: Float32[np.ndarray, "P 4"], width: int, height: int) -> None:
    """ValueError for the first poke that is too long for a width x height image [px]."""
    longest = MAX_POKE_LENGTH * max(width, height)
    lengths = np.hypot(*pokes[:, 2:].astype(np.float64).T)
    too_long = np.flatnonzero(lengths > longest)
    if len(too_long):
        i = too_long[0]
        raise ValueError(
            f"pokes[{i}] has (dx, dy) {tuple(pokes[i, 2:].tolist())}: may be at most {longest} "
            f"pixels long ({MAX_POKE_LENGTH} times the image's longer side)"
        )


def _rows(**columns: Sequence[float]) -> Float32[np.ndarray, "N 2"]:
    """Columns side by side; RequestError for a value that is not finite, with its column's name."""
    rows = np.stack([np.asarray(values, np.float32) for values in columns.values()], axis=1)
    for i, name in enumerate(columns):
        _check_finite(rows[:, i], f"{name}[{{}}]")
    return rows


def _check_finite(values: Float32[np.ndarray, " n"], name: str) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise invalid(f"{name.format(bad[0])} is {values[bad[0]]}: must be a finite number")
