# SPDX-License-Identifier: Apache-2.0
"""Plans for the page: the search of `fpt_ros.planning` in a thread, its questions answered one by
one by whoever answers the picture's."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from fpt_ros.planning import PokePlan, plan_poke

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from fpt_ros.web.messages import Request

PLANS = 3


@dataclasses.dataclass(frozen=True)
class Wish:
    """What the poke is wanted for, in pixels; see `plan_poke`."""

    points: Float[np.ndarray, "n 2"]
    goals: Float[np.ndarray, "n 2"]
    stay: Float[np.ndarray, "s 2"]
    touchable: Bool[np.ndarray, "h w"]
    reach: float
    tolerance: float
    camera_moving: bool

    @classmethod
    def of(cls, request: Request, width: int, height: int) -> Wish:
        arrays, fields = request.arrays, request.fields
        return cls(
            arrays["points"],
            arrays["goals"],
            arrays["stay"],
            touchable(arrays["touch"], width, height),
            fields["reach"],
            fields["tolerance"],
            fields["camera_moving"],
        )


def touchable(discs: Float[np.ndarray, "t 3"], width: int, height: int) -> Bool[np.ndarray, "h w"]:
    """The pixels of painted discs (x, y, radius); all, where none was painted.

    Raises:
        ValueError: a disc that is not finite.
    """
    if not len(discs):
        return np.ones((height, width), bool)
    if not np.isfinite(discs).all():
        raise ValueError("touch has a number that is not finite")
    mask = np.zeros((height, width), np.uint8)
    low, high = -max(width, height), 2 * max(width, height)
    for x, y, radius in np.clip(np.round(discs), low, high).astype(int):
        cv2.circle(mask, (int(x), int(y)), max(int(radius), 0), 1, -1)
    return mask.astype(bool)


def plan_in_thread(wish: Wish, evaluate: Callable[..., Future[Any]]) -> Future[dict[str, Any]]:
    """Begin to plan. Cancel the future to stop after the question that is being answered.

    Args:
        evaluate: begins to answer a question of the search, see `fpt_ros.planning.Evaluate`.
    """
    future: Future[dict[str, Any]] = Future()

    def ask(*args: Any, **kwargs: Any) -> Any:
        if future.cancelled():
            raise CancelledError
        return evaluate(*args, camera_moving=wish.camera_moving, **kwargs).result()

    def run() -> None:
        with suppress(InvalidStateError):  # cancelled
            try:
                future.set_result(_plan(wish, ask))
            except Exception as error:
                future.set_exception(error)

    threading.Thread(target=run, name="plan", daemon=True).start()
    return future


def _plan(wish: Wish, evaluate: Callable[..., Any]) -> dict[str, Any]:
    begin = time.perf_counter()
    plans = plan_poke(
        evaluate,
        wish.points,
        wish.goals,
        wish.stay,
        wish.touchable,
        wish.reach,
        wish.tolerance,
        plans=PLANS,
    )
    found = [plan for plan in plans if np.isfinite(plan.pokes).all()]
    milliseconds = 1e3 * (time.perf_counter() - begin)
    return {
        **_answer(found, plans, len(wish.points) + len(wish.stay)),
        "milliseconds": milliseconds,
    }


def _answer(found: list[PokePlan], plans: list[PokePlan], points: int) -> dict[str, Any]:
    """Where no poke is allowed at all there is one reason and no poke."""
    return {
        "pokes": np.array([plan.poke for plan in found], np.float32).reshape(-1, 4),
        "chances": np.array([plan.probability for plan in found], np.float32).reshape(-1, points),
        "reasons": [plan.reason for plan in found or plans],
    }
