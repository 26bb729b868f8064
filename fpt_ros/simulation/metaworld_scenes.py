# SPDX-License-Identifier: Apache-2.0
"""Meta-World's robot tasks as scenes: experts' roll-outs, arm-only moves, moved objects."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import mujoco
import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.policies import ENV_POLICY_MAP
from metaworld.policies.policy import Policy
from metaworld.sawyer_xyz_env import SawyerXYZEnv

from fpt_ros.data.clips import Clip
from fpt_ros.simulation import events, looks
from fpt_ros.simulation.events import Event, State
from fpt_ros.simulation.filming import film
from fpt_ros.simulation.rendering import Renderer
from fpt_ros.simulation.viewpoint import Viewpoint

CLIPS = 5
"""Clips of one roll-out, each with another time, camera, colours and light."""
ATTEMPTS = 20
CACHED = 10
"""Tasks kept in memory, 60 MB each; to construct one takes half a second."""
LONGEST_ROLLOUT = 200
DT_STEPS = (4, 36)
ARM_JOINTS = {*(f"right_j{i}" for i in range(7)), "r_close", "l_close"}
INTACT = {"expert": 0.88, "arm": 0.05, "kinematic": 0.07}
DISTURBED = {"arm": 0.3, "kinematic": 0.7}
"""How often each kind of event is proposed while all is as the expert left it, and once an object
was moved by no one or the arm alone."""


def all_tasks() -> list[str]:
    return sorted(ALL_V3_ENVIRONMENTS)


@lru_cache(CACHED)
def pristine(task: str) -> SawyerXYZEnv:
    return ALL_V3_ENVIRONMENTS[task]()


def fresh_env(task: str, seed: int) -> SawyerXYZEnv:
    """A task as if just constructed (which costs half a second), with a layout from the seed."""
    made = pristine(task)
    env = object.__new__(type(made))
    shared = ("model", "data", "mujoco_renderer", "sawyer_observation_space")
    env.__dict__.update(copy.deepcopy({k: v for k, v in vars(made).items() if k not in shared}))
    env.model = copy.copy(made.model)
    env.data = mujoco.MjData(env.model)
    mujoco.mj_forward(env.model, env.data)
    env._freeze_rand_vec, env.seeded_rand_vec = False, True
    env._set_task_called, env._partially_observable = True, False
    env.seed(seed)
    return env


def expert(task: str) -> Policy:
    """The task's scripted expert."""
    return cast(Callable[[], Policy], ENV_POLICY_MAP[task])()


@dataclass(frozen=True)
class Rollout:
    """An expert's attempt at a task: joint positions at every step."""

    env: SawyerXYZEnv
    qpos: np.ndarray
    seconds_per_step: float

    @property
    def model(self) -> mujoco.MjModel:
        return self.env.model

    def joints(self, of_arm: bool) -> list[int]:
        names = [self.model.joint(j).name for j in range(self.model.njnt)]
        return [j for j, name in enumerate(names) if (name in ARM_JOINTS) == of_arm]

    def groups(self) -> list[int]:
        """Rigid groups of the task's objects; the arm's where it has none."""
        joints = self.joints(of_arm=False) or self.joints(of_arm=True)
        return sorted({int(self.model.body_weldid[self.model.jnt_bodyid[j]]) for j in joints})

    def arm_addresses(self) -> np.ndarray:
        return self.model.jnt_qposadr[self.joints(of_arm=True)]

    def object_travel(self) -> np.ndarray:
        """How far the task's objects move from each step to DT_STEPS[1] / 2 steps later."""
        free = np.setdiff1d(np.arange(self.model.nq), self.arm_addresses())
        later = np.minimum(np.arange(len(self.qpos)) + DT_STEPS[1] // 2, len(self.qpos) - 1)
        return np.abs(self.qpos[later][:, free] - self.qpos[:, free]).max(1, initial=0)


def roll_out(task: str, rng: np.random.Generator) -> Rollout:
    """A scripted expert at work, its actions slightly noisy, until a while after success."""
    env, policy = fresh_env(task, int(rng.integers(2**31))), expert(task)
    noise, left = rng.choice([0.0, 0.1, 0.4]), LONGEST_ROLLOUT
    qpos = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the experts ask for more than the arm can do
        observation, _ = env.reset()
        while left > 0:
            qpos.append(env.data.qpos.copy())
            action = policy.get_action(observation) + rng.normal(0, noise, 4)
            observation, _, _, _, info = env.step(np.clip(action, -1, 1))
            left = min(left - 1, 15) if info["success"] else left - 1
    return Rollout(env, np.array(qpos), env.dt)


def choose_time(rollout: Rollout, rng: np.random.Generator) -> int:
    """A step of the roll-out; mostly one some time before the expert moves an object."""
    travel = rollout.object_travel()
    busy, latest = np.flatnonzero(travel > 0.01), len(rollout.qpos) - DT_STEPS[1]
    if len(busy) and rng.random() < 0.7:
        return int(max(rng.choice(busy) - rng.integers(0, 2 * DT_STEPS[1]), 0))
    return int(rng.integers(0, max(latest, 1)))


@dataclass(frozen=True)
class RolledState(State):
    """A state in or beside a roll-out: the step that the arm stands at, and whether the objects
    are where they were then."""

    step: int = 0
    intact: bool = True


class MetaworldStage:
    """A `Stage`: a roll-out that goes on, its arm alone, or its objects moved by no one."""

    def __init__(self, rollout: Rollout) -> None:
        self.rollout, self.model = rollout, rollout.model
        self.focus = rollout.groups()
        self.objects = rollout.joints(of_arm=False)
        self.scratch = mujoco.MjData(rollout.model)

    def begin(self, rng: np.random.Generator) -> RolledState:
        """Mostly shortly before the expert moves an object; objects may first be put elsewhere."""
        step = choose_time(self.rollout, rng)
        if self.objects and rng.random() < 0.25:
            joint = int(rng.choice(self.objects))
            qpos = events.moved_pose(self.model, self.rollout.qpos[step], joint, rng)
            return self._state(qpos, step, intact=False)
        return self._state(self.rollout.qpos[step], step, intact=True)

    def viewpoint(self, data: mujoco.MjData, rng: np.random.Generator) -> Viewpoint:
        """Towards somewhere between the hand and one of the objects; often near enough to show a
        small object large."""
        hand = data.body("hand").xpos
        body = int(self.model.jnt_bodyid[rng.choice(self.objects)]) if self.objects else 0
        way = data.xipos[body] - hand if body else np.zeros(3)
        fovy, distance = rng.uniform(35, 60), rng.uniform(0.3, 1.1)
        if body and rng.random() < 0.7:
            width = 2 * size_of(self.model, body) / rng.uniform(0.15, 0.6)
            distance = np.clip(0.5 * width / np.tan(np.radians(fovy) / 2), 0.25, 1.1)
        return Viewpoint(
            hand + rng.uniform(0.5, 1.0) * way + distance * rng.normal(0, 0.08, 3),
            azimuth=rng.uniform(0, 360),
            elevation=rng.uniform(14, 62),
            distance=float(distance),
            fovy=fovy,
            roll=rng.normal(0, 3),
        )

    def propose(self, state: State, rng: np.random.Generator) -> Event | None:
        assert isinstance(state, RolledState)
        kinds = dict(INTACT if state.intact else DISTURBED)
        if not self.objects:
            del kinds["kinematic"]
        chances = np.array(list(kinds.values()))
        kind = str(rng.choice(list(kinds), p=chances / chances.sum()))
        if kind == "kinematic":
            event = events.kinematic(self.model, self.scratch, state, self.objects, rng)
            if event is None:
                return None
            after = self._state(event.after.qpos, state.step, False, event.after.change)
            return Event(kind, 0.0, after)
        return self._roll(kind, state, rng)

    def _roll(self, kind: str, state: RolledState, rng: np.random.Generator) -> Event | None:
        """All as at another step of the roll-out, or only the arm."""
        steps = int(rng.integers(DT_STEPS[0], DT_STEPS[1] + 1))
        if kind == "arm" and rng.random() < 0.5:
            steps = -steps
        later = state.step + steps
        if later >= len(self.rollout.qpos):
            later = state.step - steps  # backwards, as training plays all clips now and then
        if later < 0:
            return None
        dt = abs(steps) * self.rollout.seconds_per_step
        if kind == "expert":
            return Event(kind, dt, self._state(self.rollout.qpos[later], later, intact=True))
        qpos, arm = state.qpos.copy(), self.rollout.arm_addresses()
        qpos[arm] = self.rollout.qpos[later][arm]
        return Event(kind, dt, self._state(qpos, later, intact=False))

    def _state(
        self, qpos: np.ndarray, step: int, intact: bool, change: np.ndarray | None = None
    ) -> RolledState:
        return RolledState(qpos.copy(), np.zeros(self.model.nv), change, step, intact)


def size_of(model: mujoco.MjModel, body: int) -> float:
    """Metres from the middle to the end of the largest geom of a body's rigid group."""
    group = model.body_weldid[model.geom_bodyid] == model.body_weldid[body]
    return float(model.geom_rbound[group].max(initial=0.02))


def clips(
    task: str, rng: np.random.Generator, size: int, frames: int, moving_cameras: float, meta: dict
) -> Iterator[Clip]:
    """Clips of one roll-out, a share of them from moving cameras."""
    rollout = roll_out(task, rng)
    stage, model = MetaworldStage(rollout), rollout.model
    for texture in range(model.ntex):
        if rng.random() < 0.6:
            looks.paint_texture(model, texture, rng)
    original, left = pristine(task).model, CLIPS
    meta = {"source": "metaworld", "scene": task} | meta
    with Renderer(model, size, size) as renderer:
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
