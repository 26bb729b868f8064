# SPDX-License-Identifier: Apache-2.0
"""`plan_poke` for goals in metres: converted to pixels by a camera, and back by its depth."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from fpt_ros.geometry.depth import depth_at
from fpt_ros.planning.checks import positive
from fpt_ros.planning.planner import plan_poke

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import ArrayLike

    from fpt_ros.geometry.camera import Camera
    from fpt_ros.planning.goals import Evaluate
    from fpt_ros.planning.plans import PokePlan


@dataclasses.dataclass(frozen=True)
class PokePlan3D:
    """A plan, and where in space its pokes begin."""

    plan: PokePlan
    """In pixels."""
    starts: Float[np.ndarray, "p 3"]
    """Of each poke, metres in the optical frame; NaN where there is no depth."""


def plan_poke_3d(
    evaluate: Evaluate,
    camera: Camera,
    depth: Float[np.ndarray, "h w"],
    points: ArrayLike,
    goals: ArrayLike,
    stay: ArrayLike,
    touchable: ArrayLike,
    reach: float,
    tolerance: float,
    **options: Any,
) -> list[PokePlan3D]:
    """As `plan_poke`, of goals in metres in the camera's optical frame.

    The planner knows motion as the camera sees it: a goal along the line of sight is not seen, and
    of what it says of depth nothing is promised. Fit a joint for that (`fit_joints`).

    Args:
        depth: metres at each pixel, NaN for holes.
        points, goals: [N, 3] points [m], and the displacement wanted of each [m].
        stay: [S, 3] points that must not move [m]; may be empty.
        touchable: as of `plan_poke`, in the image.
        reach: how long a poke may be [m], at the distance of the nearest point.
        tolerance: distance to a goal that still counts as reached [m].
        options: others of `plan_poke`, in pixels.

    Raises:
        ValueError: as `plan_poke`; also points or goals that are not in front of the camera.
    """
    places, shifts, still = (_rows(*given) for given in _named(points, goals, stay))
    start = camera.project(places)
    end = camera.project(places + shifts) if len(places) == len(shifts) else None
    if end is None:
        raise ValueError(f"goals has {len(shifts)} rows: must have {len(places)}, as points")
    if not (np.isfinite(start).all() and np.isfinite(end).all()):
        raise ValueError("points and where they should go must be in front of the camera")
    scale = camera.fx / places[:, 2]
    plans = plan_poke(
        evaluate,
        start,
        end - start,
        camera.project(still),
        touchable,
        positive("reach", reach) * float(scale.max()),
        positive("tolerance", tolerance) * scale,
        **options,
    )
    return [
        PokePlan3D(plan, camera.unproject(plan.pokes[:, :2], depth_at(depth, plan.pokes[:, :2])))
        for plan in plans
    ]


def _named(points: ArrayLike, goals: ArrayLike, stay: ArrayLike) -> list[tuple[str, ArrayLike]]:
    return [("points", points), ("goals", goals), ("stay", stay)]


def _rows(name: str, values: ArrayLike) -> Float[np.ndarray, "n 3"]:
    """Rows of three finite numbers; an empty argument of any shape is none."""
    rows = np.asarray(values, float)
    rows = rows.reshape(0, 3) if rows.size == 0 else rows
    if rows.ndim != 2 or rows.shape[1] != 3 or not np.isfinite(rows).all():
        raise ValueError(f"{name} has shape {rows.shape}: must be [n, 3], all finite numbers")
    return rows
