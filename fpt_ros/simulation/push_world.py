# SPDX-License-Identifier: Apache-2.0
"""A table-top scene at rest in front of a camera, in which a fingertip can push things."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import mujoco
import numpy as np

from fpt_ros.simulation import fingertip, looks, tabletop
from fpt_ros.simulation.flow import Poses, moved_points
from fpt_ros.simulation.rendering import Renderer

if TYPE_CHECKING:
    from jaxtyping import Float, Int, UInt8

    from fpt_ros.simulation.camera import Camera

SETTLING = 0.6
"""Seconds that things get to come to rest before the picture is taken."""
RESTLESS = 1.0
"""Pixels that things may move during a push's time when nobody pushes."""
NEAREST = 0.05
"""Metres in front of the camera at which a point's image is still computed."""

Watch = Callable[[float, mujoco.MjData, "Float[np.ndarray, ' 3']"], None]


@dataclass(frozen=True)
class PushWorld:
    """A scene at rest, what the camera sees of it, and which body each pixel shows.

    Image points are pixels, (0, 0) the centre of the top-left one. Groups are rigid groups of
    bodies, 0 the static world.
    """

    model: mujoco.MjModel
    qpos: np.ndarray
    camera: Camera
    image: UInt8[np.ndarray, "h w 3"]
    depth: Float[np.ndarray, "h w"]
    bodies: Int[np.ndarray, "h w"]
    gain: float
    """Of the camera's exposure, which `image` has."""
    names: str

    @property
    def size(self) -> int:
        """Side of the square image, pixels."""
        return self.camera.width

    @cached_property
    def groups(self) -> Int[np.ndarray, "h w"]:
        return self.model.body_weldid[self.bodies]

    def at_rest(self) -> mujoco.MjData:
        """The scene as it was pictured."""
        data = mujoco.MjData(self.model)
        data.qpos[:] = self.qpos
        mujoco.mj_forward(self.model, data)
        return data

    def exposed(self, picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """Another picture of the scene as the camera shows it, exposed as `image`."""
        return np.uint8(np.clip(picture * self.gain, 0, 255))

    def on_image(self, point: Float[np.ndarray, " 2"]) -> bool:
        return bool((point >= -0.5).all() and (point < self.size - 0.5).all())

    def surface(
        self, x: Int[np.ndarray, "*n"], y: Int[np.ndarray, "*n"]
    ) -> Float[np.ndarray, "*n 3"]:
        """What these pixels show, metres in the world."""
        pixels = np.stack([x, y], -1).reshape(-1, 2) + 0.5
        places = self.camera.back_project(pixels, self.depth[y, x].ravel())
        return places.reshape(*np.shape(x), 3)

    def push(self, poke: Float[np.ndarray, " 4"], watch: Watch | None = None) -> Outcome:
        """Let the fingertip carry out a poke (x, y, dx, dy) [px] from rest.

        Args:
            watch: called after every step with the time [s], the state and the finger's place.

        Raises:
            ValueError: a poke that is not on the image.
        """
        data = self.at_rest()
        start = Poses.of(data)
        self._draw(data, poke, watch)
        return Outcome(self, start, Poses.of(data))

    def after(self, poke: Float[np.ndarray, " 4"]) -> tuple[PushWorld, Poses]:
        """The scene, and where everything is, once the finger has carried out a poke and let go,
        and all is at rest again.

        Raises:
            ValueError: a poke that is not on the image.
        """
        data = self.at_rest()
        self._draw(data, poke)
        run(self.model, data, SETTLING)
        data.qvel[:] = 0
        mujoco.mj_forward(self.model, data)
        with Renderer(self.model, self.size, self.size) as renderer:
            depth, bodies = renderer.geometry(data, self.camera)
            image = self.exposed(renderer.colour(data, self.camera))
        qpos = data.qpos.copy()
        world = replace(self, qpos=qpos, image=image, depth=depth, bodies=bodies)
        return world, Poses.of(data)

    def _draw(
        self, data: mujoco.MjData, poke: Float[np.ndarray, " 4"], watch: Watch | None = None
    ) -> None:
        if not self.on_image(poke[:2]):
            raise ValueError(f"the poke is at {poke[:2]}: must lie on {self.size} x {self.size} px")
        x, y = np.round(poke[:2]).astype(int)
        touch = fingertip.Touch(int(self.bodies[y, x]), self.surface(x, y))
        step = (lambda time, point: watch(time, data, point)) if watch else None
        fingertip.draw(self.model, data, self.camera, touch, poke[2:], step)


@dataclass(frozen=True)
class Outcome:
    """Where everything is after a push."""

    world: PushWorld
    start: Poses
    end: Poses

    def displacement(self, points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Exact displacements of what is seen at these points, pixels."""
        x, y = np.round(points).astype(int).T
        return self._displacement(x, y)

    def largest(self, group: int) -> float:
        """How far the group's visible points moved, pixels: the 90th percentile."""
        y, x = np.nonzero(self.world.groups == group)
        return float(np.quantile(np.linalg.norm(self._displacement(x, y), axis=1), 0.9))

    def _displacement(
        self, x: Int[np.ndarray, " n"], y: Int[np.ndarray, " n"]
    ) -> Float[np.ndarray, "n 2"]:
        world, camera = self.world, self.world.camera
        moved = moved_points(world.surface(x, y), world.bodies[y, x], self.start, self.end)
        local = (moved - camera.position) @ camera.axes.T
        depth = np.maximum(local[:, 2:], NEAREST)
        after = local[:, :2] / depth * camera.focal + camera.centre
        return after - np.column_stack([x, y]) - 0.5


def random_world(rng: np.random.Generator, unseen: bool, size: int) -> PushWorld | None:
    """A random scene; None when it does not come to rest."""
    scene = tabletop.build(rng, unseen)
    model = scene.model
    for texture in range(model.ntex):
        looks.paint_texture(model, texture, rng)
    looks.relight(model, rng)
    data = mujoco.MjData(model)
    data.qpos[:] = tabletop.start_pose(scene, rng)
    run(model, data, SETTLING)
    data.qvel[:] = 0
    mujoco.mj_forward(model, data)
    camera = tabletop.random_camera(scene, size, rng)
    with Renderer(model, size, size) as renderer:
        depth, bodies = renderer.geometry(data, camera)
        dark = renderer.colour(data, camera)
    image = looks.exposed(dark, rng)
    gain = float(image.mean() / max(dark.mean(), 1))
    world = PushWorld(model, data.qpos.copy(), camera, image, depth, bodies, gain, scene.names)
    start = Poses.of(data)
    run(model, data, fingertip.MOVING + fingertip.HOLDING)
    left_alone = Outcome(world, start, Poses.of(data))
    moving = (left_alone.largest(int(group)) for group in np.unique(world.groups))
    return world if max(moving) < RESTLESS else None


def run(model: mujoco.MjModel, data: mujoco.MjData, seconds: float) -> None:
    """Physics without a finger."""
    for _ in range(round(seconds / model.opt.timestep)):
        mujoco.mj_step(model, data)
    mujoco.mj_forward(model, data)
