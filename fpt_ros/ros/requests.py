"""What a caller may ask: checks of pokes and query points, and the error that refuses them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.msg import ErrorCode
from fpt_ros.ros.conversions import pokes_from_message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float32

    from fpt_ros.msg import Poke

# The released model was trained with up to 128 pokes; it also bounds a request's memory.
MAX_POKES = 128


class RequestError(Exception):
    """A request that cannot be served: `code` is a value of msg/ErrorCode."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def invalid(message: str) -> RequestError:
    return RequestError(ErrorCode.INVALID_REQUEST, message)


def read_pokes(pokes: Sequence[Poke]) -> Float32[np.ndarray, "P 4"]:
    """Rows (x, y, dx, dy) in pixels; RequestError for too many or values that are not finite."""
    if len(pokes) > MAX_POKES:
        raise RequestError(
            ErrorCode.TOO_LARGE, f"pokes has {len(pokes)} entries: at most {MAX_POKES} are allowed"
        )
    array = pokes_from_message(pokes)
    for column, field in enumerate(("x", "y", "dx", "dy")):
        _check_finite(array[:, column], f"pokes[{{}}].{field}")
    return array


def read_points(
    x: Sequence[float], y: Sequence[float], max_queries: int
) -> Float32[np.ndarray, "N 2"]:
    """Rows (x, y) in pixels; RequestError for unequal lengths, too many or not finite values."""
    if len(x) != len(y):
        raise invalid(f"x has {len(x)} entries and y has {len(y)}: must be as many")
    if len(x) > max_queries:
        raise RequestError(
            ErrorCode.TOO_LARGE,
            f"x has {len(x)} entries: at most {max_queries} are allowed (parameter max_queries)",
        )
    points = np.stack([np.asarray(x, np.float32), np.asarray(y, np.float32)], axis=1)
    _check_finite(points[:, 0], "x[{}]")
    _check_finite(points[:, 1], "y[{}]")
    return points


def _check_finite(values: Float32[np.ndarray, " n"], name: str) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise invalid(f"{name.format(bad[0])} is {values[bad[0]]}: must be a finite number")
