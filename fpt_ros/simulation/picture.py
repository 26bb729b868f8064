"""One picture with its points and several futures: a sample of the data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import mujoco
import numpy as np

from fpt_ros.simulation import looks
from fpt_ros.simulation.flow import Poses, exact_flow, worth_keeping
from fpt_ros.simulation.futures import Future

if TYPE_CHECKING:
    from jaxtyping import Float, Int, UInt8

    from fpt_ros.simulation.camera import Camera
    from fpt_ros.simulation.rendering import Renderer

POINTS, UNIFORM = 256, 96
FUTURES, ATTEMPTS = 4, 32
SMALLEST_SHARE = 0.005
"""A picture needs at least this share of its pixels on the bodies that matter."""


@dataclass(frozen=True)
class Picture:
    """A sample; `fpt_ros.simulation` describes the fields' shapes, units and frame."""

    image: UInt8[np.ndarray, "s s 3"]
    points: Float[np.ndarray, "n 2"]
    flows: Float[np.ndarray, "f n 2"]
    bodies: Int[np.ndarray, " n"]
    meta: dict = field(repr=False)


def choose_pixels(
    groups: Int[np.ndarray, "h w"], rng: np.random.Generator
) -> Int[np.ndarray, " n"]:
    """Flat indices of pixels: first uniform ones, then ones on bodies that can move.

    A body's chance grows with the root of its visible area, so that a handle gets its share
    beside a whole robot arm. Where movable pixels are too few, uniform ones fill up.
    """
    flat = groups.ravel()
    movable = np.flatnonzero(flat)
    _, which, areas = np.unique(flat[movable], return_inverse=True, return_counts=True)
    weights = (1 / np.sqrt(areas))[which]
    count = min(POINTS - UNIFORM, len(movable))
    on_bodies = rng.choice(movable, count, replace=False, p=weights / weights.sum())
    uniform = rng.choice(flat.size, POINTS - count, replace=False)
    return np.concatenate([uniform[:UNIFORM], on_bodies, uniform[UNIFORM:]])


def keep_futures(
    propose: Callable[[], Future | None], flow_of: Callable[[Future], np.ndarray | None]
) -> tuple[list[np.ndarray], list[Future]]:
    """The first FUTURES proposals that are worth keeping, with their flows in image sides."""
    flows: list[np.ndarray] = []
    kept: list[Future] = []
    for _ in range(ATTEMPTS):
        future = propose()
        flow = flow_of(future) if future else None
        if future and flow is not None and worth_keeping(flow):
            flows.append(flow)
            kept.append(future)
        if len(kept) == FUTURES:
            break
    return flows, kept


def take_picture(
    renderer: Renderer,
    data: mujoco.MjData,
    camera: Camera,
    propose: Callable[[], Future | None],
    focus: list[int],
    rng: np.random.Generator,
    meta: dict,
) -> Picture | None:
    """A picture of `data` (after `mj_forward`) with FUTURES futures drawn from `propose`.

    None when too little of the `focus` (rigid groups) is visible, or when too few futures are
    worth keeping.
    """
    depth, bodies = renderer.geometry(data, camera)
    groups = renderer.model.body_weldid[bodies]
    if np.isin(groups, focus).mean() < SMALLEST_SHARE:
        return None
    chosen = choose_pixels(groups, rng)
    rows, columns = np.divmod(chosen, camera.width)
    pixels = np.column_stack([columns, rows]) + 0.5
    points = camera.back_project(pixels, depth[rows, columns])
    body, start, side = bodies[rows, columns], Poses.of(data), camera.height

    def flow_of(future: Future) -> np.ndarray | None:
        flow = exact_flow(camera, points, body, start, future.poses)
        return None if flow is None else flow / side

    flows, kept = keep_futures(propose, flow_of)
    if len(kept) < FUTURES:
        return None
    meta = meta | {
        "uniform": UNIFORM,
        "dt": [round(future.dt, 4) for future in kept],
        "kinds": [future.kind for future in kept],
    }
    return Picture(
        looks.exposed(renderer.colour(data, camera), rng),
        (pixels / side).astype(np.float32),
        np.stack(flows).astype(np.float32),
        groups[rows, columns].astype(np.int32),
        meta,
    )
