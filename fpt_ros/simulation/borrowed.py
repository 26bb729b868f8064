# SPDX-License-Identifier: Apache-2.0
"""Scenes that other people modelled: the kitchen and the door of `gymnasium-robotics`, as they are.

Never trained on. The kitchen (Gupta et al., Relay Policy Learning, 2019) and the door with the
Adroit hand (Rajeswaran et al., 2018) are under Apache-2.0.
"""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import mujoco
import numpy as np

from fpt_ros.data.clips import Clip
from fpt_ros.simulation import events
from fpt_ros.simulation.events import Event, State
from fpt_ros.simulation.filming import film
from fpt_ros.simulation.metaworld_scenes import size_of
from fpt_ros.simulation.rendering import Renderer
from fpt_ros.simulation.viewpoint import Viewpoint

ATTEMPTS = 20
ROBOT_MOVES = 0.2
"""Share of the events in which the robot moves, and the things do not."""
ROBOT_STEP = 0.4
"""Radians (or metres, a tenth) that a joint of the robot turns by in an event, at most."""


@dataclass(frozen=True)
class Borrowed:
    """A scene of the package, and what in it is a thing, not the robot."""

    file: str
    """Below the package's assets."""
    things: tuple[str, ...]
    """Joints of the things; all others are the robot's, or follow."""
    robot: tuple[str, ...]
    """How the names of the robot's joints begin."""
    keyframe: bool
    """Whether the first keyframe is where the robot begins; else the model's own pose."""


SCENES = {
    "kitchen": Borrowed(
        "kitchen_franka/kitchen_assets/kitchen_env_model.xml",
        things=(
            "microwave", "left_hinge_cabinet", "right_hinge_cabinet", "slide_cabinet", "kettle",
            "light_switch", "knob_Joint_1", "knob_Joint_2", "knob_Joint_3", "knob_Joint_4",
        ),
        robot=("robot:",),
        keyframe=True,
    ),
    "door": Borrowed(
        "adroit_hand/adroit_door.xml",
        things=("door_hinge", "latch"),
        robot=("ART", "ARR", "WRJ", "FFJ", "MFJ", "RFJ", "LFJ", "THJ"),
        keyframe=False,
    ),
}  # fmt: skip
SHARES = {"kitchen": 0.75, "door": 0.25}


@lru_cache
def pristine(scene: str) -> mujoco.MjModel:
    """A scene as its makers have it.

    Raises:
        ValueError: the package is not installed.
    """
    package = importlib.util.find_spec("gymnasium_robotics")  # its import has side effects
    if package is None or package.origin is None:
        raise ValueError("heldout_f needs the package gymnasium-robotics: pip install '.[sim]'")
    assets = Path(package.origin).parent / "envs" / "assets"
    return mujoco.MjModel.from_xml_path(str(assets / SCENES[scene].file))


class BorrowedStage:
    """A `Stage`: things are somewhere else, moved by no one, or the robot is."""

    def __init__(self, scene: str, model: mujoco.MjModel) -> None:
        borrowed = SCENES[scene]
        self.model, self.scratch = model, mujoco.MjData(model)
        names = [model.joint(j).name for j in range(model.njnt)]
        self.things = [names.index(name) for name in borrowed.things]
        self.robot = [j for j, name in enumerate(names) if name.startswith(borrowed.robot)]
        self.rest = model.key_qpos[0].copy() if borrowed.keyframe else model.qpos0.copy()
        groups = model.body_weldid[model.jnt_bodyid[self.things]]
        self.focus = sorted({int(group) for group in groups})

    def begin(self, rng: np.random.Generator) -> State:
        """Half of the things anywhere in their range, the robot about where it begins."""
        qpos = self._robot_moved(self.rest, rng)
        for joint in self.things:
            if rng.random() < 0.5 and self.model.jnt_type[joint] != events.FREE:
                qpos = events.moved_pose(self.model, qpos, joint, rng)
        return State.at_rest(self.model, qpos)

    def viewpoint(self, data: mujoco.MjData, rng: np.random.Generator) -> Viewpoint:
        """From the front, at one of the things, near enough to show it well."""
        body = int(self.model.jnt_bodyid[rng.choice(self.things)])
        size, fovy = size_of(self.model, body), rng.uniform(35, 60)
        width = 2 * size / rng.uniform(0.25, 0.8)
        distance = float(np.clip(0.5 * width / np.tan(np.radians(fovy) / 2), 0.35, 2.0))
        return Viewpoint(
            data.xipos[body] + distance * rng.normal(0, 0.08, 3),
            azimuth=90 + rng.uniform(-60, 60),
            elevation=rng.uniform(-5, 45),
            distance=distance,
            fovy=fovy,
            roll=rng.normal(0, 3),
        )

    def propose(self, state: State, rng: np.random.Generator) -> Event | None:
        if rng.random() < ROBOT_MOVES:
            qpos = self._robot_moved(state.qpos, rng)
            return Event("arm", 0.0, State.at_rest(self.model, qpos))
        return events.kinematic(self.model, self.scratch, state, self.things, rng)

    def _robot_moved(self, qpos: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """With each joint of the robot turned a little, as far as it goes."""
        qpos = qpos.copy()
        for joint in self.robot:
            turns = self.model.jnt_type[joint] == events.HINGE
            step = ROBOT_STEP if turns else ROBOT_STEP / 10
            at, ends = self.model.jnt_qposadr[joint], self.model.jnt_range[joint]
            qpos[at] = np.clip(qpos[at] + rng.uniform(-step, step), *ends)
        return qpos


def clips(rng: np.random.Generator, size: int, frames: int, meta: dict) -> Iterator[Clip]:
    """Clips of one of the scenes, from still cameras; colours and lights are the makers'."""
    scene = str(rng.choice(list(SHARES), p=list(SHARES.values())))
    model = copy.copy(pristine(scene))
    stage = BorrowedStage(scene, model)
    meta = {"source": "gymnasium-robotics", "scene": scene} | meta
    with Renderer(model, size, size) as renderer:
        for _ in range(ATTEMPTS):
            clip = film(stage, renderer, frames, False, rng, meta)
            if clip:
                yield clip
