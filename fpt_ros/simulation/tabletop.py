# SPDX-License-Identifier: Apache-2.0
"""Procedural table-top scenes: a random few mechanisms and loose things on a table."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import mujoco
import numpy as np

from fpt_ros.data.clips import Clip
from fpt_ros.simulation import events, looks, room
from fpt_ros.simulation.camera import Camera
from fpt_ros.simulation.events import Event, State
from fpt_ros.simulation.filming import film
from fpt_ros.simulation.furnishing import add_loose, add_mechanisms, add_pile, free_place
from fpt_ros.simulation.rendering import Renderer
from fpt_ros.simulation.spot import FREE_JOINT
from fpt_ros.simulation.viewpoint import Viewpoint

CLIPS, ATTEMPTS = 3, 9
"""Clips of one scene, each with other poses, camera, colours and light."""
SHARE_OF_DYNAMICS = 0.5
SETTLING = 0.4
"""Seconds that things get to come to rest before a clip."""
HEIGHT = 2.2
"""Metres; everything on the table is lower."""


@dataclass(frozen=True)
class TabletopScene:
    """A compiled scene: its things' names, where on the table the things are that a camera looks
    at, how much room each takes (radius), and the joints that move.

    dropped: free joints of things that lie on, or in, what stands at a place; half their height.
    """

    model: mujoco.MjModel
    names: str
    places: np.ndarray
    radii: np.ndarray
    joints: list[int]
    dropped: dict[int, tuple[np.ndarray, float]]

    @property
    def focus(self) -> list[int]:
        """The rigid groups that the joints move."""
        bodies = self.model.jnt_bodyid[self.joints]
        return sorted({int(group) for group in self.model.body_weldid[bodies]})


def build(
    rng: np.random.Generator, unseen: bool = False, contraptions: float = 0.0
) -> TabletopScene:
    """A random scene; `unseen` builds it round one of the mechanisms kept from training, and
    then only that moves. `contraptions`: see `add_mechanisms`."""
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    spec.option.timestep = 0.004
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    materials = room.add_materials(spec, rng)
    room.add_room(spec, rng)
    if rng.random() < 0.6:
        room.add_clutter(spec, materials, rng)
    taken: list[tuple[float, float, float]] = []
    names = add_mechanisms(spec, unseen, materials, taken, rng, contraptions)
    stands = [np.array([x, y]) for x, y, _ in taken]
    dropped = {}
    piles = int(rng.choice([0, 1, 2, 3, 4], p=[0.25, 0.3, 0.2, 0.15, 0.1]))
    for number in range(piles if stands else max(piles, 1)):
        if stands and not unseen and rng.random() < 0.3:
            body = spec.worldbody.add_body(name=f"dropped{number}")
            names.append(add_loose(body, materials, rng))
            dropped[body.name] = stands[rng.integers(len(stands))], float(body.pos[2])
            body.pos = [0, 0, HEIGHT + 1 + number]
        elif place := free_place(taken, 0.1, rng):
            names += add_pile(spec, place, materials, rng)
    shown = np.array(taken[:1] if unseen else taken)
    model = spec.compile()
    loose = model.jnt_type == FREE_JOINT
    joints = np.flatnonzero(~loose if unseen else np.ones_like(loose))
    by_joint = {int(model.body(name).jntadr[0]): where for name, where in dropped.items()}
    return TabletopScene(
        model, "+".join(names), shown[:, :2], shown[:, 2], joints.tolist(), by_joint
    )


def start_pose(scene: TabletopScene, rng: np.random.Generator) -> np.ndarray:
    """Mechanisms somewhere in their range, some of them at rest; loose things where they are, or
    just above what they are dropped on."""
    model = scene.model
    qpos = model.qpos0.copy()
    for joint in np.flatnonzero(model.jnt_type != FREE_JOINT):
        low, high = model.jnt_range[joint]
        if rng.random() < 0.6 or not low <= 0 <= high:
            qpos = events.moved_pose(model, qpos, int(joint), rng)
    return drop(scene, qpos, rng) if scene.dropped else qpos


def drop(scene: TabletopScene, qpos: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Dropped things go to just above what is highest at a place near theirs."""
    model, data = scene.model, mujoco.MjData(scene.model)
    data.qpos[:] = qpos
    down, geom = np.array([0.0, 0.0, -1.0]), np.zeros(1, np.int32)
    for joint, (place, half) in scene.dropped.items():
        mujoco.mj_kinematics(model, data)
        body, at = int(model.jnt_bodyid[joint]), model.jnt_qposadr[joint]
        x, y = place + rng.normal(0, 0.05, 2)
        above = np.array([x, y, HEIGHT])
        free_way = mujoco.mj_ray(model, data, above, down, None, 1, body, geom)
        data.qpos[at : at + 3] = x, y, HEIGHT - free_way + half + 0.003
    return data.qpos.copy()


def random_viewpoint(scene: TabletopScene, rng: np.random.Generator) -> Viewpoint:
    """From the front half, looking at one of the things or towards their middle; half of the time
    as near as shows the thing large."""
    thing, middle = int(rng.integers(len(scene.places))), scene.places.mean(0)
    towards = rng.uniform(0, 0.7) * (middle - scene.places[thing])
    fovy, distance = rng.uniform(35, 60), rng.uniform(0.35, 1.0)
    if rng.random() < 0.5:
        towards *= 0.3
        width = 2 * scene.radii[thing] / rng.uniform(0.5, 1.1)
        distance = np.clip(0.5 * width / np.tan(np.radians(fovy) / 2), 0.3, 1.0)
    place = scene.places[thing] + towards + rng.normal(0, 0.04, 2)
    return Viewpoint(
        np.array([*place, rng.uniform(0.0, 0.12 if rng.random() < 0.7 else 0.35)]),
        azimuth=90 + rng.uniform(-65, 65),
        elevation=rng.uniform(12, 65),
        distance=float(distance),
        fovy=fovy,
        roll=rng.normal(0, 3),
    )


def random_camera(scene: TabletopScene, size: int, rng: np.random.Generator) -> Camera:
    return random_viewpoint(scene, rng).camera(size)


class TabletopStage:
    """A `Stage`: things on a table, moved by no one or pushed."""

    def __init__(self, scene: TabletopScene) -> None:
        self.scene, self.model, self.focus = scene, scene.model, scene.focus
        self.scratch = mujoco.MjData(scene.model)
        roots = self.model.body_rootid[self.model.geom_bodyid]
        movable = self.model.body_weldid[self.model.geom_bodyid] > 0
        self.parts = np.flatnonzero(movable & (self.model.body_dofnum[roots] != 6))

    def begin(self, rng: np.random.Generator) -> State:
        """Things at rest: what stood badly has fallen."""
        for _ in range(ATTEMPTS):
            self.scratch.qpos[:], self.scratch.qvel[:] = start_pose(self.scene, rng), 0
            mujoco.mj_kinematics(self.model, self.scratch)
            if self._above_the_table():
                break
        if (self.model.jnt_type == FREE_JOINT).any():
            for _ in range(round(SETTLING / self.model.opt.timestep)):
                mujoco.mj_step(self.model, self.scratch)
        return State.at_rest(self.model, self.scratch.qpos)

    def viewpoint(self, data: mujoco.MjData, rng: np.random.Generator) -> Viewpoint:
        return random_viewpoint(self.scene, rng)

    def propose(self, state: State, rng: np.random.Generator) -> Event | None:
        move = events.dynamics if rng.random() < SHARE_OF_DYNAMICS else events.kinematic
        event = move(self.model, self.scratch, state, self.scene.joints, rng)
        return event if event and self._above_the_table() else None

    def _above_the_table(self) -> bool:
        """Whether no mechanism, which collides with loose things only, reaches into the table."""
        return bool((self.scratch.geom_xpos[self.parts, 2] > 0).all())


def clips(
    rng: np.random.Generator,
    size: int,
    frames: int,
    moving_cameras: float,
    meta: dict,
    unseen: bool = False,
    contraptions: float = 0.0,
) -> Iterator[Clip]:
    """Clips of one random scene, a share of them from moving cameras; see `build`."""
    scene = build(rng, unseen, contraptions)
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
