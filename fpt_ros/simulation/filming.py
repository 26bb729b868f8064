# SPDX-License-Identifier: Apache-2.0
"""A clip of a scene: a chain of events, each worth keeping, and exact tracks through it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import mujoco
import numpy as np

from fpt_ros.data.clips import Clip
from fpt_ros.simulation import looks, viewpoint
from fpt_ros.simulation.flow import Poses, exact_flow, worth_keeping
from fpt_ros.simulation.views import View, exact_tracks

if TYPE_CHECKING:
    from jaxtyping import Int

    from fpt_ros.simulation.camera import Camera
    from fpt_ros.simulation.events import Event, State
    from fpt_ros.simulation.rendering import Renderer
    from fpt_ros.simulation.viewpoint import Viewpoint

UNIFORM, ON_BODIES = 64, 100
"""Tracks that begin in each frame: anywhere in the picture, and on bodies that can move."""
ATTEMPTS = 12
"""Events proposed for one step of the chain."""
SMALLEST_SHARE, LARGEST_SHARE = 0.007, 0.75
"""A frame needs at least this share of its pixels on the bodies that matter, and at most that on
one of them."""
RATE = 3
"""Nominal frames a second: events are poses, or take 0.05 to 0.5 s."""


class Stage(Protocol):
    """A scene, what may happen in it, and where it is filmed from."""

    model: mujoco.MjModel
    focus: list[int]
    """Rigid groups of the bodies that matter."""

    def begin(self, rng: np.random.Generator) -> State: ...

    def viewpoint(self, data: mujoco.MjData, rng: np.random.Generator) -> Viewpoint: ...

    def propose(self, state: State, rng: np.random.Generator) -> Event | None: ...


@dataclass
class Chain:
    """The scene's states, frame by frame, and what happened between them."""

    states: list[State]
    events: list[Event]
    views: list[View]
    queries: list[np.ndarray]


def film(
    stage: Stage,
    renderer: Renderer,
    frames: int,
    camera_moves: bool,
    rng: np.random.Generator,
    meta: dict[str, Any],
) -> Clip | None:
    """A clip of `frames` frames, without a key; None where the chain cannot be continued."""
    data, size = mujoco.MjData(stage.model), renderer.width
    state = stage.begin(rng)
    pose(stage.model, data, state)
    view = stage.viewpoint(data, rng)
    path = viewpoint.moving if camera_moves else None
    cameras = path(view, frames, size, rng) if path else viewpoint.still(view, frames, size)
    chain = link(stage, renderer, data, state, cameras, rng)
    if chain is None:
        return None
    pictures = []
    for state, camera in zip(chain.states, cameras, strict=True):
        pose(stage.model, data, state)
        pictures.append(renderer.colour(data, camera))
    tracks, visible = exact_tracks(chain.views, np.concatenate(chain.queries))
    bodies = [
        view.bodies[tuple((queries[:, :0:-1] * size).astype(int).T)]
        for view, queries in zip(chain.views, chain.queries, strict=True)
    ]
    meta = meta | {
        "rate": RATE,
        "camera": "moving" if camera_moves else "static",
        "events": [event.kind for event in chain.events],
        "dt": [round(event.dt, 4) for event in chain.events],
    }
    groups = stage.model.body_weldid[np.concatenate(bodies)].astype(np.int32)
    exposed = looks.exposed(np.stack(pictures), rng)
    known = np.isfinite(tracks).all((0, 2))  # never behind the camera
    tracks = tracks[:, known].astype(np.float32)
    return Clip("", exposed, tracks, visible[:, known], groups[known], meta)


def pose(model: mujoco.MjModel, data: mujoco.MjData, state: State) -> None:
    """Bodies, lights and inertias as the state says: what a renderer needs."""
    data.qpos[:], data.qvel[:] = state.qpos, 0
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    mujoco.mj_camlight(model, data)


def link(
    stage: Stage,
    renderer: Renderer,
    data: mujoco.MjData,
    state: State,
    cameras: list[Camera],
    rng: np.random.Generator,
) -> Chain | None:
    """States that follow each other by events worth keeping, as many as cameras."""
    chain = Chain([], [], [], [])
    for number, camera in enumerate(cameras):
        pose(stage.model, data, state)
        if not viewpoint.is_clear(stage.model, data, camera):
            return None
        view = View.of(renderer, data, camera)
        groups = stage.model.body_weldid[view.bodies]
        shares = np.bincount(groups.ravel())[1:] / groups.size
        if shares.max(initial=0) > LARGEST_SHARE:
            return None
        if np.isin(groups, stage.focus).mean() < SMALLEST_SHARE:
            return None
        rows, columns = np.divmod(choose_pixels(groups, rng), camera.width)
        points = np.column_stack([columns, rows])
        points = (points + 0.5) / camera.width
        chain.states.append(state)
        chain.views.append(view)
        chain.queries.append(np.column_stack([np.full(len(points), number), points]))
        if number == len(cameras) - 1:
            return chain
        event = next_event(stage, data, state, view, points, rng)
        if event is None:
            return None
        chain.events.append(event)
        state = event.after
    return chain


def next_event(
    stage: Stage,
    data: mujoco.MjData,
    state: State,
    view: View,
    points: np.ndarray,
    rng: np.random.Generator,
) -> Event | None:
    """The first proposal that is worth keeping, as a camera that stands still would see it."""
    places, bodies = view.surface(points)
    for _ in range(ATTEMPTS):
        event = stage.propose(state, rng)
        if event is None:
            continue
        pose(stage.model, data, event.after)
        flow = exact_flow(view.camera, places, bodies, view.poses, Poses.of(data))
        if flow is not None and worth_keeping(flow / view.camera.width):
            return event
    return None


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
    count = min(ON_BODIES, len(movable))
    on_bodies = rng.choice(movable, count, replace=False, p=weights / weights.sum())
    uniform = rng.choice(flat.size, UNIFORM + ON_BODIES - count, replace=False)
    return np.concatenate([uniform[:UNIFORM], on_bodies, uniform[UNIFORM:]])
