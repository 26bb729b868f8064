# SPDX-License-Identifier: Apache-2.0
"""Clips of simulated scenes at a video's frame rate, whose every point's track is known exactly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

# It chooses off-screen OpenGL, for which it has to come before MuJoCo.
# isort: off
import fpt_ros.simulation  # noqa: F401
import mujoco
# isort: on

from fpt_ros.simulation import events, looks, tabletop
from fpt_ros.simulation.rendering import Renderer
from fpt_ros.simulation.views import View

if TYPE_CHECKING:
    from jaxtyping import UInt8

RATE = 25
"""Frames a second."""
BETWEEN_PUSHES = 10
"""Frames from one push of something to the next."""
TRAVEL = 0.12
"""Metres that a moving camera's position goes at most along each of its axes."""


@dataclass(frozen=True)
class SimulatedClip:
    """Frames, and the geometry behind each."""

    frames: UInt8[np.ndarray, "t s s 3"]
    views: list[View]


def simulate(seed: int, frames: int = 50, size: int = 256) -> SimulatedClip:
    """Things on a table, pushed again and again; clips of odd seeds have a moving camera."""
    rng = np.random.default_rng([seed, 46])
    scene = tabletop.build(rng)
    model = scene.model
    for texture in range(model.ntex):
        looks.paint_texture(model, texture, rng)
    looks.relight(model, rng)
    data = mujoco.MjData(model)
    data.qpos[:] = tabletop.start_pose(scene, rng)
    camera = tabletop.random_camera(scene, size, rng)
    travel = rng.uniform(-TRAVEL, TRAVEL, 3) @ camera.axes * (seed % 2)
    pictures, views = [], []
    with Renderer(model, size, size, shadow_map=1024) as renderer:
        for number in range(frames):
            if number % BETWEEN_PUSHES == 0:
                _push(model, data, scene.joints, rng)
            mujoco.mj_forward(model, data)
            way = np.sin(np.pi * number / frames)
            seen_from = replace(camera, position=camera.position + way * travel)
            pictures.append(renderer.colour(data, seen_from))
            views.append(View.of(renderer, data, seen_from))
            mujoco.mj_step(model, data, nstep=round(1 / RATE / model.opt.timestep))
    return SimulatedClip(np.stack(pictures), views)


def _push(
    model: mujoco.MjModel, data: mujoco.MjData, joints: list[int], rng: np.random.Generator
) -> None:
    """Give two joints or loose things a velocity."""
    for joint in events.choose_joints(model, joints, 2, rng):
        at = model.jnt_dofadr[joint]
        if model.jnt_type[joint] == events.FREE:
            data.qvel[at : at + 2] = rng.uniform(-0.6, 0.6, 2)
            data.qvel[at + 5] = rng.uniform(-2, 2)
        else:
            fastest = 3.0 if model.jnt_type[joint] == events.HINGE else 0.6
            data.qvel[at] = rng.uniform(-fastest, fastest)
