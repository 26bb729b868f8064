# SPDX-License-Identifier: Apache-2.0
"""Drawers and doors to be opened at a chosen point, in random table-top scenes.

A drawer is any part on a slide, a door any on a hinge. Half of the scenes are built round
mechanisms that are kept from training; half of the parts stand askew, as in `joint_scenes`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import cv2
import mujoco
import numpy as np

from fpt_ros.simulation import looks, tabletop
from fpt_ros.simulation.joint_scenes import HINGE, SLIDE, SMALLEST_PART, TRIES, hangs_on, tilt
from fpt_ros.simulation.push_world import run
from fpt_ros.simulation.rendering import Renderer

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from fpt_ros.simulation.camera import Camera

SEEDS = 78_000
"""Stands in the seeds where the data set has the number of a shard: no other scene has these."""
DRAWER, DOOR = 0.15, np.radians(40)
"""Metres and radians to open by."""
SHORTEST, ROOM = 0.09, 0.9
"""Drawers whose stop comes earlier are opened by this share of their way, at least by SHORTEST."""
ROUGH = np.radians(15)
"""By how much the direction that comes with the task is off."""
NARROWEST = 0.08
"""Metres from a hinge's axis to the handle point."""
SETTLING = 1.0
INSIDE = 5
"""Pixels of the part that are to lie round its handle point."""


@dataclass(frozen=True)
class OpeningTask:
    """Open this part by `goal`, at a point of it. World frame, metres and radians."""

    name: str
    model: mujoco.MjModel
    qpos: Float[np.ndarray, " q"]
    """The scene at rest."""
    camera: Camera
    joint: int
    sign: float
    """Of the joint's coordinate, when the part opens."""
    tilted: bool
    goal: float
    handle: Float[np.ndarray, " 3"]
    direction: Float[np.ndarray, " 3"]
    """Unit: the way that the handle goes first, ROUGH off."""
    mask: Bool[np.ndarray, "s s"]
    """What shows the part."""
    gain: float
    """Of the camera's exposure."""

    @property
    def hinge(self) -> bool:
        return bool(self.model.jnt_type[self.joint] == HINGE)

    def at_rest(self) -> mujoco.MjData:
        """The scene before anything is done."""
        data = mujoco.MjData(self.model)
        data.qpos[:] = self.qpos
        mujoco.mj_forward(self.model, data)
        return data

    def opened(self, data: mujoco.MjData) -> float:
        """By how much the part truly is open there, metres or radians."""
        at = self.model.jnt_qposadr[self.joint]
        return float(self.sign * (data.qpos[at] - self.qpos[at]))

    def arm(self) -> float:
        """From a hinge's axis to the handle."""
        data = self.at_rest()
        apart = self.handle - data.xanchor[self.joint]
        return float(np.linalg.norm(np.cross(data.xaxis[self.joint], apart)))


def opening_tasks(seed: int, size: int) -> Iterator[OpeningTask]:
    """Tasks without end: drawers and doors in turn, known mechanisms and unseen, square and askew.

    Args:
        size: side of the camera's pictures, pixels.
    """
    for number in count():
        for attempt in count():
            rng = np.random.default_rng([seed, SEEDS, number, attempt])
            kind = HINGE if number % 2 else SLIDE
            unseen, tilted = number // 2 % 2 == 1, number // 4 % 2 == 1
            task = random_task(rng, size, kind, unseen, tilted)
            if task:
                yield task
                break


def random_task(
    rng: np.random.Generator, size: int, kind: int, unseen: bool, tilted: bool
) -> OpeningTask | None:
    """None where no part of that kind is seen that can be opened far enough."""
    scene = tabletop.build(rng, unseen)
    model = scene.model
    wide = model.jnt_range[:, 1] - model.jnt_range[:, 0]
    least = DOOR if kind == HINGE else SHORTEST
    joints = [j for j in scene.joints if model.jnt_type[j] == kind and ROOM * wide[j] > 1.1 * least]
    if not joints:
        return None
    joint = int(rng.choice(joints))
    for texture in range(model.ntex):
        looks.paint_texture(model, texture, rng)
    looks.relight(model, rng)
    if tilted:
        tilt(model, joint, rng)
    data, at = mujoco.MjData(model), model.jnt_qposadr[joint]
    data.qpos[:] = tabletop.start_pose(scene, rng)
    low, high = model.jnt_range[joint]
    data.qpos[at] = rng.choice([low, high])
    run(model, data, SETTLING)
    data.qvel[:] = 0
    mujoco.mj_forward(model, data)
    sign = 1.0 if high - data.qpos[at] > data.qpos[at] - low else -1.0
    room = ROOM * float(max(high - data.qpos[at], data.qpos[at] - low))
    if room < least:
        return None
    goal = float(DOOR) if kind == HINGE else min(DRAWER, room)
    seen = _seen(scene, data, joint, size, rng)
    if seen is None:
        return None
    camera, handle, mask, gain = seen
    direction = rough(first_way(data, joint, sign, handle), rng)
    where = (model, data.qpos.copy(), camera, joint, sign, tilted)
    return OpeningTask(scene.names, *where, goal, handle, direction, mask, gain)


def first_way(
    data: mujoco.MjData, joint: int, sign: float, handle: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, " 3"]:
    """Unit direction in which the handle goes first."""
    axis = sign * data.xaxis[joint]
    if data.model.jnt_type[joint] != HINGE:
        return axis
    way = np.cross(axis, handle - data.xanchor[joint])
    return way / np.linalg.norm(way)


def rough(direction: Float[np.ndarray, " 3"], rng: np.random.Generator) -> Float[np.ndarray, " 3"]:
    """The direction, turned by ROUGH to a random side."""
    aside = np.cross(direction, rng.normal(size=3))
    return np.cos(ROUGH) * direction + np.sin(ROUGH) * aside / np.linalg.norm(aside)


def _seen(
    scene: tabletop.TabletopScene,
    data: mujoco.MjData,
    joint: int,
    size: int,
    rng: np.random.Generator,
) -> tuple | None:
    """A camera that shows the part, a handle point on it, its mask and the exposure."""
    model = scene.model
    with Renderer(model, size, size) as renderer:
        for _ in range(TRIES):
            camera = tabletop.random_camera(scene, size, rng)
            depth, bodies = renderer.geometry(data, camera)
            mask = hangs_on(model, model.jnt_bodyid[joint])[bodies]
            around = np.ones((2 * INSIDE + 1, 2 * INSIDE + 1), np.uint8)
            own = np.uint8(bodies == model.jnt_bodyid[joint])
            rows, columns = np.nonzero(cv2.erode(own, around, borderValue=0))
            if mask.mean() < SMALLEST_PART or not len(rows):
                continue
            pixels = np.column_stack([columns, rows]) + 0.5
            points = camera.back_project(pixels, depth[rows, columns])
            if model.jnt_type[joint] == HINGE:
                arms = np.cross(points - data.xanchor[joint], data.xaxis[joint])
                lengths = np.linalg.norm(arms, axis=1)
                points = points[lengths > max(NARROWEST, 0.7 * lengths.max())]
            if len(points):
                dark = renderer.colour(data, camera)
                gain = float(looks.exposed(dark, rng).mean() / max(dark.mean(), 1))
                return camera, points[rng.integers(len(points))], mask, gain
    return None
