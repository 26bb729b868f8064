# SPDX-License-Identifier: Apache-2.0
"""Scenes with one joint that is known exactly, before a camera with depth: to judge fits of joints.

Everything is in the camera's optical frame, metres; pixel (0, 0) is the centre of the first one.
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
from fpt_ros.simulation.rendering import FAR, Renderer

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

    from fpt_ros.simulation.camera import Camera

HINGE, SLIDE = mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE
BEYOND = 77_000
"""Stands in the seeds where the data set has the number of a shard: no other scene has these."""
SMALLEST_PART = 0.012
"""Of the picture's pixels, that the part shows."""
LEAST_TILT, MOST_TILT = np.radians(8), np.radians(25)
HOLES, FLYING = 0.07, 0.03
"""Shares of the pixels of noisy depth."""
TRIES = 3


@dataclass(frozen=True)
class Shot:
    """What the camera sees of one pose."""

    image: UInt8[np.ndarray, "s s 3"]
    depth: Float[np.ndarray, "s s"]
    """NaN where nothing is."""


@dataclass(frozen=True)
class JointScene:
    """A part, its true joint, and pictures of it."""

    name: str
    hinge: bool
    tilted: bool
    camera: Camera
    axis: Float[np.ndarray, " 3"]
    """Unit, signed so that the part moves by positive travel."""
    origin: Float[np.ndarray, " 3"]
    """On a hinge's axis."""
    before: Shot
    mask: Bool[np.ndarray, "s s"]
    """What shows the part."""
    after: dict[float, tuple[Shot, float]]
    """By the mean way of the part's visible points [m]: what is seen then, and the travel."""

    def surface(self, pixels: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 3"]:
        """What whole pixels show."""
        columns, rows = np.asarray(pixels, int).T
        focal, middle = self.camera.focal, self.camera.width / 2 - 0.5
        depth = self.before.depth[rows, columns]
        rays = np.column_stack([(pixels - middle) / focal, np.ones(len(pixels))])
        return rays * depth[:, None]

    def move(self, points: Float[np.ndarray, "n 3"], travel: float) -> Float[np.ndarray, "n 3"]:
        """Displacements of points of the part."""
        if not self.hinge:
            return np.broadcast_to(travel * self.axis, points.shape)
        turn, _ = cv2.Rodrigues(travel * self.axis)
        return (points - self.origin) @ (turn - np.eye(3)).T


def joint_scenes(
    seed: int, size: int, ways: tuple[float, ...], unseen: bool, tilted: bool
) -> Iterator[JointScene]:
    """Scenes without end; `unseen`: of mechanisms that are kept from training.

    Args:
        ways: mean ways of the part's visible points [m] of which there are pictures.
        tilted: parts stand askew, and their axes are along none of their edges and normals.
    """
    for number in count():
        rng = np.random.default_rng([seed, BEYOND, unseen, tilted, number])
        scene = random_scene(rng, size, ways, unseen, tilted)
        if scene:
            yield scene


def random_scene(
    rng: np.random.Generator, size: int, ways: tuple[float, ...], unseen: bool, tilted: bool
) -> JointScene | None:
    """None where no part is seen that can go the longest of the ways."""
    scene = tabletop.build(rng, unseen)
    model = scene.model
    for texture in range(model.ntex):
        looks.paint_texture(model, texture, rng)
    looks.relight(model, rng)
    joints = [j for j in scene.joints if model.jnt_type[j] in (HINGE, SLIDE)]
    if tilted:
        for joint in joints:
            tilt(model, joint, rng)
    data = mujoco.MjData(model)
    data.qpos[:] = tabletop.start_pose(scene, rng)
    mujoco.mj_forward(model, data)
    with Renderer(model, size, size) as renderer:
        for _ in range(TRIES if joints else 0):
            camera = tabletop.random_camera(scene, size, rng)
            joint = int(rng.choice(joints))
            found = _filmed(renderer, data, camera, joint, ways, rng)
            if found:
                return JointScene(scene.names, model.jnt_type[joint] == HINGE, tilted, *found)
    return None


def tilt(model: mujoco.MjModel, joint: int, rng: np.random.Generator) -> None:
    """Turn a part by some degrees where it is held, and its axis by some more."""
    body = model.jnt_bodyid[joint]
    turn = np.zeros(4)
    mujoco.mju_axisAngle2Quat(turn, _unit(rng), rng.uniform(LEAST_TILT, MOST_TILT))
    whole = np.zeros(4)
    mujoco.mju_mulQuat(whole, model.body_quat[body], turn)
    model.body_quat[body] = whole
    axis = model.jnt_axis[joint].copy()
    aside = np.cross(axis, _unit(rng))
    angle = rng.uniform(LEAST_TILT, MOST_TILT)
    model.jnt_axis[joint] = np.cos(angle) * axis + np.sin(angle) * aside / np.linalg.norm(aside)


def noisy_depth(
    depth: Float[np.ndarray, "s s"], rng: np.random.Generator
) -> Float[np.ndarray, "s s"]:
    """As a depth camera may give it: noise of 1.5 mm and 2.5 mm per square metre, flying points,
    and holes in patches."""
    noisy = depth + (0.0015 + 0.0025 * depth**2) * rng.normal(0, 1, depth.shape)
    flying = rng.random(depth.shape) < FLYING
    noisy = np.where(flying, depth * rng.uniform(0.7, 1.3, depth.shape), noisy)
    coarse = rng.normal(0, 1, [side // 8 for side in depth.shape]).astype(np.float32)
    patches = cv2.resize(coarse, depth.shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.where(patches > np.quantile(patches, 1 - HOLES), np.nan, noisy)


def _filmed(
    renderer: Renderer,
    data: mujoco.MjData,
    camera: Camera,
    joint: int,
    ways: tuple[float, ...],
    rng: np.random.Generator,
) -> tuple | None:
    """Camera, axis, origin, first shot, mask and later shots."""
    model, at = renderer.model, renderer.model.jnt_qposadr[joint]
    start = data.qpos.copy()
    depth, bodies = renderer.geometry(data, camera)
    mask = hangs_on(model, model.jnt_bodyid[joint])[bodies]
    if mask.mean() < SMALLEST_PART:
        return None
    rows, columns = np.nonzero(mask)
    pixels = np.column_stack([columns, rows]) + 0.5
    points = camera.back_project(pixels, depth[rows, columns])
    axis, anchor = data.xaxis[joint].copy(), data.xanchor[joint].copy()
    hinge = model.jnt_type[joint] == HINGE
    arms = np.linalg.norm(np.cross(points - anchor, axis), axis=1).mean() if hinge else 1.0
    low, high = model.jnt_range[joint]
    sign = 1.0 if high - start[at] > start[at] - low else -1.0
    room = max(high - start[at], start[at] - low)
    if max(ways) / max(arms, 1e-3) > min(room, 1.2 if hinge else 1.0):
        return None
    dark = renderer.colour(data, camera)
    gain = float(looks.exposed(dark, rng).mean() / max(dark.mean(), 1))
    before, after = _shot(renderer, data, camera, gain), {}
    for way in ways:
        travel = _travel(way, arms, hinge)
        data.qpos[at] = start[at] + sign * travel
        mujoco.mj_forward(model, data)
        after[way] = _shot(renderer, data, camera, gain), travel
    data.qpos[:] = start
    mujoco.mj_forward(model, data)
    local = camera.axes @ (anchor - camera.position)
    return camera, sign * camera.axes @ axis, local, before, mask, after


def _travel(way: float, arms: float, hinge: bool) -> float:
    """Metres, or the angle whose chord is the way."""
    return float(2 * np.arcsin(min(way / (2 * arms), 1))) if hinge else way


def _shot(renderer: Renderer, data: mujoco.MjData, camera: Camera, gain: float) -> Shot:
    picture = np.uint8(np.clip(renderer.colour(data, camera) * gain, 0, 255))
    depth, _ = renderer.geometry(data, camera)
    return Shot(picture, np.where(depth > 0.99 * FAR, np.nan, depth))


def hangs_on(model: mujoco.MjModel, body: int) -> Bool[np.ndarray, " bodies"]:
    """Bodies that move with this one."""
    hangs = np.zeros(model.nbody, bool)
    hangs[body] = True
    for child in range(body + 1, model.nbody):
        hangs[child] |= hangs[model.body_parentid[child]]
    return hangs


def _unit(rng: np.random.Generator) -> Float[np.ndarray, " 3"]:
    vector = rng.normal(size=3)
    return vector / np.linalg.norm(vector)
