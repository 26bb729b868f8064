"""Clips of simulated scenes whose every point's track and visibility are known exactly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

# It chooses off-screen OpenGL, for which it has to come before MuJoCo.
# isort: off
import fpt_ros.simulation  # noqa: F401
import mujoco
# isort: on

from fpt_ros.simulation import futures, looks, tabletop
from fpt_ros.simulation.flow import Poses, moved_points
from fpt_ros.simulation.rendering import Renderer

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, UInt8

    from fpt_ros.simulation.camera import Camera

RATE = 25
"""Frames a second."""
BETWEEN_PUSHES = 10
"""Frames from one push of something to the next."""
TRAVEL = 0.12
"""Metres that a moving camera's position goes at most along each of its axes."""
DEPTH_SLACK = 0.01
"""A point is seen where the picture's depth is its own up to this share."""
NEAREST = 0.05
"""Metres; what is nearer to the camera's plane is out of the picture."""


@dataclass(frozen=True)
class View:
    """What one frame shows."""

    camera: Camera
    poses: Poses
    depth: Float[np.ndarray, "s s"]
    bodies: Int[np.ndarray, "s s"]


@dataclass(frozen=True)
class SimulatedClip:
    """Frames, and the geometry behind each."""

    frames: UInt8[np.ndarray, "t s s 3"]
    views: list[View]

    def truth(
        self, queries: Float[np.ndarray, "n 3"]
    ) -> tuple[Float[np.ndarray, "t n 2"], Bool[np.ndarray, "t n"]]:
        """Tracks and visibility of what is seen at `queries`: frame number, x, y in [0, 1]."""
        shape = (len(self.views), len(queries))
        tracks, visible = np.zeros((*shape, 2)), np.zeros(shape, bool)
        for start in np.unique(queries[:, 0]).astype(int):
            chosen = queries[:, 0] == start
            points, bodies = _surface(self.views[start], queries[chosen, 1:])
            for time, view in enumerate(self.views):
                moved = moved_points(points, bodies, self.views[start].poses, view.poses)
                tracks[time, chosen], visible[time, chosen] = _seen(view, moved, bodies)
        return tracks, visible


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
            views.append(View(seen_from, Poses.of(data), *renderer.geometry(data, seen_from)))
            mujoco.mj_step(model, data, nstep=round(1 / RATE / model.opt.timestep))
    return SimulatedClip(np.stack(pictures), views)


def _push(
    model: mujoco.MjModel, data: mujoco.MjData, joints: list[int], rng: np.random.Generator
) -> None:
    """Give two joints or loose things a velocity."""
    for joint in futures.choose_joints(model, joints, 2, rng):
        at = model.jnt_dofadr[joint]
        if model.jnt_type[joint] == futures.FREE:
            data.qvel[at : at + 2] = rng.uniform(-0.6, 0.6, 2)
            data.qvel[at + 5] = rng.uniform(-2, 2)
        else:
            fastest = 3.0 if model.jnt_type[joint] == futures.HINGE else 0.6
            data.qvel[at] = rng.uniform(-fastest, fastest)


def _surface(
    view: View, points: Float[np.ndarray, "n 2"]
) -> tuple[Float[np.ndarray, "n 3"], Int[np.ndarray, " n"]]:
    """The places in the world that are seen at points of the picture, and their bodies."""
    pixels = points * view.camera.width
    columns, rows = np.clip(pixels.astype(int), 0, view.camera.width - 1).T
    return view.camera.back_project(pixels, view.depth[rows, columns]), view.bodies[rows, columns]


def _seen(
    view: View, points: Float[np.ndarray, "n 3"], bodies: Int[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "n 2"], Bool[np.ndarray, " n"]]:
    """Where places in the world are in the picture, in [0, 1], and whether they are seen there.

    They are where the picture shows their body at their depth, in one of the 3 x 3 pixels round
    them: an outline's pixels belong to one side only.
    """
    size = view.camera.width
    local = (points - view.camera.position) @ view.camera.axes.T
    depth = np.maximum(local[:, 2], NEAREST)
    pixels = local[:, :2] / depth[:, None] * view.camera.focal + view.camera.centre
    inside = (local[:, 2] > NEAREST) & ((pixels >= 0) & (pixels < size)).all(1)
    columns, rows = np.clip(pixels, 0, size - 1).astype(int).T
    visible = np.zeros(len(points), bool)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            at = (np.clip(rows + down, 0, size - 1), np.clip(columns + right, 0, size - 1))
            near = np.abs(view.depth[at] - depth) < DEPTH_SLACK * depth
            visible |= near & (view.bodies[at] == bodies)
    return pixels / size, visible & inside
