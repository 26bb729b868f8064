"""Procedural table-top scenes: a random few mechanisms and loose things on a table."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import mujoco
import numpy as np

from fpt_ros.data.clips import Clip
from fpt_ros.simulation import events, looks
from fpt_ros.simulation.camera import Camera
from fpt_ros.simulation.events import Event, State
from fpt_ros.simulation.filming import film
from fpt_ros.simulation.loose import LOOSE
from fpt_ros.simulation.mechanisms import MECHANISMS
from fpt_ros.simulation.rendering import Renderer
from fpt_ros.simulation.spot import BOX, FREE_JOINT, Spot
from fpt_ros.simulation.unseen import UNSEEN
from fpt_ros.simulation.viewpoint import Viewpoint

TEXTURES, TEXTURE_SIDE = 6, 64
CLIPS, ATTEMPTS = 3, 9
"""Clips of one scene, each with other poses, camera, colours and light."""
SHARE_OF_DYNAMICS = 0.4
SETTLING = 0.3
"""Seconds that things get to come to rest before a clip."""
TABLE = (0.55, 0.42)
"""Half width and half depth of the table top, whose surface is at height zero."""


@dataclass(frozen=True)
class TabletopScene:
    """A compiled scene: its things' names and places on the table, and the joints that move."""

    model: mujoco.MjModel
    names: str
    places: np.ndarray
    joints: list[int]

    @property
    def focus(self) -> list[int]:
        """The rigid groups that the joints move."""
        bodies = self.model.jnt_bodyid[self.joints]
        return sorted({int(group) for group in self.model.body_weldid[bodies]})


def add_materials(spec: mujoco.MjSpec, rng: np.random.Generator) -> list[str]:
    """Plain and textured materials for things (cube textures, so that no face is smeared)."""
    names = []
    for index in range(2 * TEXTURES):
        name, textured = f"material{index}", index < TEXTURES
        colour = np.ones(3) if textured else looks.random_colour(rng)
        material = spec.add_material(name=name, rgba=[*colour, 1])
        if textured:
            add_texture(spec, name, mujoco.mjtTexture.mjTEXTURE_CUBE)
            material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
        names.append(name)
    return names


def add_texture(spec: mujoco.MjSpec, name: str, kind: mujoco.mjtTexture) -> None:
    """Room for a texture; its picture is painted after compilation."""
    height = TEXTURE_SIDE * (1 if kind == mujoco.mjtTexture.mjTEXTURE_2D else 6)
    spec.add_texture(
        name=name,
        type=kind,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_FLAT,
        width=TEXTURE_SIDE,
        height=height,
    )


def add_room(spec: mujoco.MjSpec, rng: np.random.Generator) -> None:
    """Table, floor, sky, lights, and in half of the scenes a wall behind the table."""
    for name in ("table", "floor", "wall"):
        add_texture(spec, name, mujoco.mjtTexture.mjTEXTURE_2D)
        repeat = rng.uniform(0.5, 4, 2)
        material = spec.add_material(name=name, texrepeat=repeat, rgba=[1, 1, 1, 1])
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    add_texture(spec, "sky", mujoco.mjtTexture.mjTEXTURE_SKYBOX)
    world = spec.worldbody
    world.add_geom(
        type=BOX, size=[*TABLE, 0.02], pos=[0, 0, -0.02], material="table", contype=1, conaffinity=0
    )
    plane = mujoco.mjtGeom.mjGEOM_PLANE
    world.add_geom(
        type=plane, size=[4, 4, 0.1], pos=[0, 0, -0.75], material="floor", contype=1, conaffinity=0
    )
    if rng.random() < 0.5:
        world.add_geom(
            type=BOX,
            size=[3, 0.02, 1.5],
            pos=[0, rng.uniform(0.5, 1.2), 0.6],
            material="wall",
            contype=1,
            conaffinity=0,
        )
    for _ in range(int(rng.integers(1, 3))):
        world.add_light(
            pos=[*rng.uniform(-1, 1, 2), rng.uniform(1.5, 2.5)],
            dir=[0, 0, -1],
            directional=bool(rng.random() < 0.7),
            cutoff=80,
        )


def free_place(
    taken: list[tuple[float, float, float]], radius: float, rng: np.random.Generator
) -> tuple[float, float] | None:
    """A place on the table where a disc of this radius touches none of those taken."""
    for _ in range(40):
        x, y = rng.uniform(-1, 1, 2) * (np.array(TABLE) - min(radius, 0.2))
        if all(np.hypot(x - a, y - b) > radius + r for a, b, r in taken):
            taken.append((x, y, radius))
            return x, y
    return None


def build(rng: np.random.Generator, unseen: bool = False) -> TabletopScene:
    """A random scene; `unseen` builds it round one of the mechanisms kept from training, and
    then only that moves."""
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    spec.option.timestep = 0.004
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    materials = add_materials(spec, rng)
    add_room(spec, rng)
    kinds = UNSEEN if unseen else MECHANISMS
    taken: list[tuple[float, float, float]] = []
    names = []
    for _ in range(1 if unseen else rng.choice([1, 2, 3], p=[0.4, 0.4, 0.2])):
        name = str(rng.choice(list(kinds)))
        builder, radius = kinds[name]
        scale = float(rng.uniform(0.7, 1.5))
        place = free_place(taken, scale * radius, rng)
        if place:
            yaw = rng.uniform(-0.6, 0.6)
            body = spec.worldbody.add_body(pos=[*place, 0], quat=about_z(yaw))
            builder(Spot(body, palette(materials, rng), rng, spec.worldbody, scale))
            names.append(name)
    for _ in range(rng.choice([0, 1, 2, 3], p=[0.25, 0.35, 0.25, 0.15])):
        name = str(rng.choice(list(LOOSE)))
        scale = float(rng.uniform(0.7, 1.5))
        place = free_place(taken, 0.08 * scale, rng)
        if place:
            body = spec.worldbody.add_body()
            spot = Spot(body, palette(materials, rng), rng, scale=scale)
            height = scale * LOOSE[name](spot, body)
            body.pos = [*place, height + 0.0005]
            body.quat = about_z(rng.uniform(-np.pi, np.pi))
            body.add_joint(type=FREE_JOINT)
            names.append(name)
    places = np.array([(x, y) for x, y, _ in taken])
    model = spec.compile()
    loose = model.jnt_type == FREE_JOINT
    joints = np.flatnonzero(~loose if unseen else np.ones_like(loose))
    return TabletopScene(model, "+".join(names), places, joints.tolist())


def about_z(angle: float) -> list[float]:
    return [np.cos(angle / 2), 0, 0, np.sin(angle / 2)]


def palette(materials: list[str], rng: np.random.Generator) -> list[str]:
    """Three materials: body, moving part and handle; the first two are sometimes one."""
    chosen = [str(name) for name in rng.choice(materials, 3, replace=False)]
    if rng.random() < 0.35:
        chosen[1] = chosen[0]
    return chosen


def start_pose(scene: TabletopScene, rng: np.random.Generator) -> np.ndarray:
    """Mechanisms somewhere in their range, some of them at rest; loose things where they are."""
    model = scene.model
    qpos = model.qpos0.copy()
    for joint in np.flatnonzero(model.jnt_type != FREE_JOINT):
        low, high = model.jnt_range[joint]
        if rng.random() < 0.6 or not low <= 0 <= high:
            qpos = events.moved_pose(model, qpos, int(joint), rng)
    return qpos


def random_viewpoint(scene: TabletopScene, rng: np.random.Generator) -> Viewpoint:
    """From the front half, looking at one of the things or at their middle."""
    thing = scene.places[rng.integers(len(scene.places))]
    middle = scene.places.mean(0)
    place = thing + rng.uniform(0, 0.7) * (middle - thing) + rng.normal(0, 0.04, 2)
    return Viewpoint(
        np.array([*place, rng.uniform(0.0, 0.12)]),
        azimuth=90 + rng.uniform(-65, 65),
        elevation=rng.uniform(12, 65),
        distance=rng.uniform(0.35, 1.0),
        fovy=rng.uniform(35, 60),
        roll=rng.normal(0, 3),
    )


def random_camera(scene: TabletopScene, size: int, rng: np.random.Generator) -> Camera:
    return random_viewpoint(scene, rng).camera(size)


class TabletopStage:
    """A `Stage`: things on a table, moved by no one or pushed."""

    def __init__(self, scene: TabletopScene) -> None:
        self.scene, self.model, self.focus = scene, scene.model, scene.focus
        self.scratch = mujoco.MjData(scene.model)

    def begin(self, rng: np.random.Generator) -> State:
        """Things at rest: what stood badly has fallen."""
        self.scratch.qpos[:] = start_pose(self.scene, rng)
        self.scratch.qvel[:] = 0
        if (self.model.jnt_type == FREE_JOINT).any():
            for _ in range(round(SETTLING / self.model.opt.timestep)):
                mujoco.mj_step(self.model, self.scratch)
        return State.at_rest(self.model, self.scratch.qpos)

    def viewpoint(self, data: mujoco.MjData, rng: np.random.Generator) -> Viewpoint:
        return random_viewpoint(self.scene, rng)

    def propose(self, state: State, rng: np.random.Generator) -> Event | None:
        move = events.dynamics if rng.random() < SHARE_OF_DYNAMICS else events.kinematic
        return move(self.model, self.scratch, state, self.scene.joints, rng)


def clips(
    rng: np.random.Generator,
    size: int,
    frames: int,
    moving_cameras: float,
    meta: dict,
    unseen: bool = False,
) -> Iterator[Clip]:
    """Clips of one random scene, a share of them from moving cameras."""
    scene = build(rng, unseen)
    model = scene.model
    for texture in range(model.ntex):
        looks.paint_texture(model, texture, rng)
    stage = TabletopStage(scene)
    meta = {"source": "procedural", "scene": scene.names} | meta
    left = CLIPS
    with Renderer(model, size, size) as renderer:
        original = copy.copy(model)
        for _ in range(ATTEMPTS):
            looks.repaint(model, original, rng)
            looks.relight(model, rng)
            camera_moves = bool(rng.random() < moving_cameras)
            clip = film(stage, renderer, frames, camera_moves, rng, meta)
            if clip:
                yield clip
                left -= 1
            if left == 0:
                return
