# SPDX-License-Identifier: Apache-2.0
"""A planner's arguments, checked, as the requests that the node reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Vector3
from std_msgs.msg import Header

from fpt_ros.action import SampleMotion
from fpt_ros.geometry import JointKind
from fpt_ros.msg import PokeArray
from fpt_ros.ros.conversions import floats, mask_to_message, pokes_to_message
from fpt_ros.srv import (
    EvaluatePokes,
    HoldImage,
    ObserveMotion,
    PredictMotion,
    PredictMotion3D,
    SegmentMotion,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float32
    from numpy.typing import ArrayLike


def predict_request(
    pokes: ArrayLike, points: ArrayLike | None, stamp: Time | None, camera_moving: bool
) -> PredictMotion.Request:
    x, y = _columns(points)
    return PredictMotion.Request(
        stamp=_stamp(stamp),
        pokes=pokes_to_message(_pokes(pokes, "pokes")),
        x=floats(x),
        y=floats(y),
        camera_moving=bool(camera_moving),
    )


def evaluate_request(
    candidates: Sequence[ArrayLike],
    points: ArrayLike,
    goals: ArrayLike,
    tolerance: float,
    stamp: Time | None,
    camera_moving: bool,
    return_motions: bool,
) -> EvaluatePokes.Request:
    points, goals = _rows(points, "points", 2), _rows(goals, "goals", 2)
    if not len(points):
        raise ValueError("points is empty: at least 1 is needed")
    if goals.shape != points.shape:
        raise ValueError(
            f"goals has {len(goals)} entries and points {len(points)}: must be as many"
        )
    if not (np.isfinite(tolerance) and tolerance > 0):
        raise ValueError(f"tolerance is {tolerance}: must be a finite number above 0 [px]")
    return EvaluatePokes.Request(
        stamp=_stamp(stamp),
        candidates=_candidates(candidates),
        x=floats(points[:, 0]),
        y=floats(points[:, 1]),
        goal_dx=floats(goals[:, 0]),
        goal_dy=floats(goals[:, 1]),
        tolerance=float(tolerance),
        camera_moving=bool(camera_moving),
        return_motions=bool(return_motions),
    )


def segment_request(
    pokes: ArrayLike, stamp: Time | None, camera_moving: bool
) -> SegmentMotion.Request:
    rows = _pokes(pokes, "pokes")
    if not len(rows):
        raise ValueError("pokes is empty: at least 1 is needed")
    return SegmentMotion.Request(
        stamp=_stamp(stamp), pokes=pokes_to_message(rows), camera_moving=bool(camera_moving)
    )


def sample_goal(
    pokes: ArrayLike,
    points: ArrayLike | None,
    samples: int,
    seed: int | None,
    stamp: Time | None,
    camera_moving: bool,
) -> SampleMotion.Goal:
    if not 1 <= samples < 2**32:
        raise ValueError(f"samples is {samples}: must be at least 1")
    if seed is not None and not -(2**63) <= seed < 2**63:
        raise ValueError(f"seed is {seed}: must be None or in [-2**63, 2**63)")
    x, y = _columns(points)
    return SampleMotion.Goal(
        stamp=_stamp(stamp),
        pokes=pokes_to_message(_pokes(pokes, "pokes")),
        x=floats(x),
        y=floats(y),
        samples=int(samples),
        seed=0 if seed is None else int(seed),
        camera_moving=bool(camera_moving),
    )


def hold_request(stamp: Time | None, seconds: float) -> HoldImage.Request:
    if not (np.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"seconds is {seconds}: must be a finite number of at least 0")
    return HoldImage.Request(stamp=_stamp(stamp), seconds=float(seconds))


def predict_3d_request(
    pokes: ArrayLike,
    points: ArrayLike | None,
    pokes_3d: ArrayLike,
    frame_id: str,
    poke_spread: float,
    mask: ArrayLike | None,
    kind: JointKind,
    up: ArrayLike | None,
    stamp: Time | None,
    camera_moving: bool,
) -> PredictMotion3D.Request:
    rows, rows_3d = _pokes(pokes, "pokes"), _rows(pokes_3d, "pokes_3d", 6)
    if not len(rows) and not len(rows_3d):
        raise ValueError("pokes and pokes_3d are empty: at least 1 poke is needed")
    if not (np.isfinite(poke_spread) and poke_spread >= 0):
        raise ValueError(f"poke_spread is {poke_spread}: must be a finite number of at least 0")
    x, y = _columns(points)
    request = PredictMotion3D.Request(
        stamp=_stamp(stamp),
        pokes=pokes_to_message(rows),
        pokes_3d_header=Header(frame_id=frame_id),
        pokes_3d=floats(rows_3d),
        poke_spread=float(poke_spread),
        x=floats(x),
        y=floats(y),
        kind=int(JointKind(kind)),
        up=_direction(up),
        camera_moving=bool(camera_moving),
    )
    if mask is not None:
        pixels = np.asarray(mask, bool)
        if pixels.ndim != 2:
            raise ValueError(f"mask has shape {pixels.shape}: must be [h, w]")
        request.mask = mask_to_message(pixels, Header())
    return request


def observe_request(
    stamp_before: Time,
    pokes: ArrayLike,
    stamp_after: Time | None,
    kind: JointKind,
    up: ArrayLike | None,
) -> ObserveMotion.Request:
    return ObserveMotion.Request(
        stamp_before=stamp_before,
        stamp_after=_stamp(stamp_after),
        pokes=pokes_to_message(_pokes(pokes, "pokes")),
        kind=int(JointKind(kind)),
        up=_direction(up),
    )


def _direction(up: ArrayLike | None) -> Vector3:
    """Zero for None."""
    vector = np.zeros(3) if up is None else np.asarray(up, float)
    if vector.shape != (3,) or not np.isfinite(vector).all():
        raise ValueError(f"up is {up!r}: must be 3 finite numbers")
    x, y, z = vector.tolist()
    return Vector3(x=x, y=y, z=z)


def _candidates(candidates: Sequence[ArrayLike]) -> list[PokeArray]:
    """Each entry the rows of one candidate's pokes, or the one row of its only poke."""
    if not len(candidates):
        raise ValueError("candidates is empty: at least 1 is needed")
    arrays = [
        _pokes(pokes if np.ndim(pokes) != 1 else np.reshape(pokes, (1, -1)), f"candidates[{i}]")
        for i, pokes in enumerate(candidates)
    ]
    return [PokeArray(pokes=pokes_to_message(array)) for array in arrays]


def _columns(points: ArrayLike | None) -> Float32[np.ndarray, "2 N"]:
    """x and y of the points; none of them where there are none, which means the node's grid."""
    if points is None:
        return np.zeros((2, 0), np.float32)
    rows = _rows(points, "points", 2)
    if not len(rows):
        raise ValueError("points is empty: give at least 1, or None for the node's grid")
    return rows.T


def _pokes(pokes: ArrayLike, name: str) -> Float32[np.ndarray, "P 4"]:
    return _rows(pokes, name, 4)


def _rows(values: ArrayLike, name: str, width: int) -> np.ndarray:
    """[n, width] float32, all finite; an empty list is no rows."""
    fields = (
        "(x, y, z, dx, dy, dz)"
        if width == 6
        else "(x, y, dx, dy)"
        if width == 4
        else "(dx, dy)"
        if name == "goals"
        else "(x, y)"
    )
    try:
        with np.errstate(over="ignore"):  # too large for float32: infinite, refused below
            rows = np.asarray(values, np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is no array of rows {fields}: {error}") from error
    if not rows.size:
        return rows.reshape(0, width)
    if rows.ndim != 2 or rows.shape[1] != width:
        raise ValueError(f"{name} has shape {rows.shape}: must be [n, {width}] {fields}")
    bad = np.argwhere(~np.isfinite(rows))
    if len(bad):
        i, column = bad[0]
        field = fields.strip("()").split(", ")[column]
        raise ValueError(f"{name}[{i}] has {field} {rows[i, column]}: must be a finite number")
    return rows


def _stamp(stamp: Time | None) -> Time:
    if stamp is None:
        return Time()
    if not isinstance(stamp, Time):
        raise ValueError(
            f"stamp is a {type(stamp).__name__}: must be a builtin_interfaces.msg.Time, such as "
            "header.stamp of an image, or None for the newest image"
        )
    return stamp
