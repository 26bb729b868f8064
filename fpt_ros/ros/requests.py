"""What a caller may ask: checks of a request's fields, and the error that refuses them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fpt_ros.msg import ErrorCode
from fpt_ros.ros.conversions import pokes_from_message
from fpt_ros.srv import EvaluatePokes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxtyping import Float32

    from fpt_ros.inference.steps import Result
    from fpt_ros.msg import Poke, PokeArray

# The released model was trained with up to 128 pokes; it also bounds a request's memory.
MAX_POKES = 128


class RequestError(Exception):
    """A request that cannot be served: `code` is a value of msg/ErrorCode."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def invalid(message: str) -> RequestError:
    return RequestError(ErrorCode.INVALID_REQUEST, message)


def error_response(response_type: type, code: int, message: str) -> Any:
    """An empty response of a service, or result of an action, with an error."""
    response = response_type(error_code=code, error_msg=message)
    if isinstance(response, EvaluatePokes.Response):
        response.best = -1
    return response


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


def read_candidates(
    candidates: Sequence[PokeArray], max_candidates: int
) -> list[Float32[np.ndarray, "P 4"]]:
    """The pokes of each candidate as `read_pokes`; RequestError for none or too many, too."""
    if not candidates:
        raise invalid("candidates is empty: at least 1 is needed")
    if len(candidates) > max_candidates:
        raise RequestError(
            ErrorCode.TOO_LARGE,
            f"candidates has {len(candidates)} entries: at most {max_candidates} are allowed "
            "(parameter max_candidates)",
        )
    with_index = enumerate(candidates)
    return [named(f"candidates[{i}].", read_pokes, one.pokes) for i, one in with_index]


def read_goals(dx: Sequence[float], dy: Sequence[float], count: int) -> Float32[np.ndarray, "N 2"]:
    """Rows (dx, dy) in pixels; RequestError unless there are `count` finite values of both."""
    for name, values in (("goal_dx", dx), ("goal_dy", dy)):
        if len(values) != count:
            raise invalid(
                f"{name} has {len(values)} entries: must be as many as x, which has {count}"
            )
    goals = np.stack([np.asarray(dx, np.float32), np.asarray(dy, np.float32)], axis=1)
    _check_finite(goals[:, 0], "goal_dx[{}]")
    _check_finite(goals[:, 1], "goal_dy[{}]")
    return goals


def check_tolerance(tolerance: float) -> None:
    if not (math.isfinite(tolerance) and tolerance > 0):
        raise invalid(f"tolerance is {tolerance}: must be a finite number above 0")


def named(prefix: str, check: Callable[..., Result], *args: Any) -> Result:
    """What `check` returns; its RequestError with `prefix` before the field."""
    try:
        return check(*args)
    except RequestError as error:
        raise RequestError(error.code, f"{prefix}{error}") from error


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
