"""Meta-World's robot tasks as scenes: experts' roll-outs, arm-only moves, moved objects."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import cast

import mujoco
import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.policies import ENV_POLICY_MAP
from metaworld.policies.policy import Policy
from metaworld.sawyer_xyz_env import SawyerXYZEnv

from fpt_ros.simulation import futures, looks
from fpt_ros.simulation.camera import Camera
from fpt_ros.simulation.flow import Poses
from fpt_ros.simulation.picture import Picture, take_picture
from fpt_ros.simulation.rendering import Renderer

PICTURES = 12
"""Pictures of one roll-out, each with another time, camera, colours and light."""
ATTEMPTS = 40
LONGEST_ROLLOUT = 200
DT_STEPS = (4, 36)
ARM_JOINTS = {*(f"right_j{i}" for i in range(7)), "r_close", "l_close"}
KINDS = {"expert": 0.45, "arm": 0.15, "kinematic": 0.40}
"""How often each kind of future is proposed."""


def all_tasks() -> list[str]:
    return sorted(ALL_V3_ENVIRONMENTS)


@cache
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
    """An expert's attempt at a task: joint positions and body poses at every step."""

    env: SawyerXYZEnv
    qpos: np.ndarray
    poses: list[Poses]
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
    qpos, poses = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the experts ask for more than the arm can do
        observation, _ = env.reset()
        while left > 0:
            qpos.append(env.data.qpos.copy())
            poses.append(Poses.of(env.data))
            action = policy.get_action(observation) + rng.normal(0, noise, 4)
            observation, _, _, _, info = env.step(np.clip(action, -1, 1))
            left = min(left - 1, 15) if info["success"] else left - 1
    return Rollout(env, np.array(qpos), poses, env.dt)


def choose_time(rollout: Rollout, rng: np.random.Generator) -> int:
    """A step of the roll-out; mostly one shortly before the expert moves an object."""
    travel = rollout.object_travel()
    busy = np.flatnonzero(travel > 0.01)
    if len(busy) and rng.random() < 0.7:
        return int(rng.choice(busy))
    return int(rng.integers(0, len(rollout.qpos) - DT_STEPS[0]))


class Proposer:
    """Proposes futures of a roll-out at one time; objects may first be put elsewhere."""

    def __init__(self, rollout: Rollout, time: int, rng: np.random.Generator) -> None:
        self.rollout, self.time, self.rng = rollout, time, rng
        self.scratch = mujoco.MjData(rollout.model)
        self.scratch.mocap_pos[:] = rollout.env.data.mocap_pos
        self.objects = rollout.joints(of_arm=False)
        self.qpos = rollout.qpos[time].copy()
        self.kinds = dict(KINDS)
        if not self.objects:
            del self.kinds["kinematic"]
        elif rng.random() < 0.3:
            joint = int(rng.choice(self.objects))
            self.qpos = futures.moved_pose(rollout.model, self.qpos, joint, rng)
            del self.kinds["expert"]

    def __call__(self) -> futures.Future | None:
        chances = np.array(list(self.kinds.values()))
        kind = str(self.rng.choice(list(self.kinds), p=chances / chances.sum()))
        if kind == "kinematic":
            return futures.kinematic(
                self.rollout.model, self.scratch, self.qpos, self.objects, self.rng
            )
        steps = int(self.rng.integers(DT_STEPS[0], DT_STEPS[1] + 1))
        if kind == "arm" and self.rng.random() < 0.5:
            steps = -steps
        later = self.time + steps
        if not 0 <= later < len(self.rollout.qpos):
            return None
        dt = abs(steps) * self.rollout.seconds_per_step
        if kind == "expert":
            return futures.Future(kind, dt, self.rollout.poses[later])
        return futures.Future(kind, dt, self._arm_only(later))

    def _arm_only(self, later: int) -> Poses:
        """The arm as it stands at another time, the objects where they are now."""
        arm = self.rollout.arm_addresses()
        self.scratch.qpos[:] = self.qpos
        self.scratch.qpos[arm] = self.rollout.qpos[later][arm]
        mujoco.mj_fwdPosition(self.rollout.model, self.scratch)
        return Poses.of(self.scratch)


def random_camera(target: np.ndarray, size: int, rng: np.random.Generator) -> Camera:
    return Camera.looking_at(
        target + rng.normal(0, 0.06, 3),
        azimuth=rng.uniform(0, 360),
        elevation=rng.uniform(14, 62),
        distance=rng.uniform(0.3, 1.1),
        fovy=rng.uniform(35, 60),
        width=size,
        height=size,
        roll=rng.normal(0, 3),
    )


def interesting_place(
    rollout: Rollout, data: mujoco.MjData, rng: np.random.Generator
) -> np.ndarray:
    """Somewhere between the hand and one of the objects, where the camera shall look."""
    hand = data.body("hand").xpos
    joints = rollout.joints(of_arm=False)
    if not joints:
        return hand.copy()
    body = rollout.model.jnt_bodyid[rng.choice(joints)]
    return hand + rng.uniform(0.5, 1.0) * (data.xipos[body] - hand)


def pictures(task: str, rng: np.random.Generator, size: int, meta: dict) -> Iterator[Picture]:
    """Pictures of one roll-out; some may be dropped as not worth keeping."""
    rollout = roll_out(task, rng)
    model, data = rollout.model, mujoco.MjData(rollout.model)
    for texture in range(model.ntex):
        if rng.random() < 0.6:
            looks.paint_texture(model, texture, rng)
    original, focus, left = pristine(task).model, rollout.groups(), PICTURES
    meta = {"source": "metaworld", "scene": task} | meta
    with Renderer(model, size, size) as renderer:
        for _ in range(ATTEMPTS):
            looks.repaint(model, original, rng)
            looks.relight(model, rng)
            time = choose_time(rollout, rng)
            propose = Proposer(rollout, time, rng)
            data.qpos[:] = propose.qpos
            mujoco.mj_forward(model, data)
            camera = random_camera(interesting_place(rollout, data, rng), size, rng)
            picture = take_picture(renderer, data, camera, propose, focus, rng, meta)
            if picture:
                yield picture
                left -= 1
            if left == 0:
                return
