"""Possible futures of a scene: joints moved to another pose, or pushed and simulated."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from fpt_ros.simulation.flow import Poses

DEEPEST_NEW_CONTACT = 0.004
"""Metres that a moved body may reach into another one beyond how it stood before."""
FREE, HINGE = mujoco.mjtJoint.mjJNT_FREE, mujoco.mjtJoint.mjJNT_HINGE


@dataclass(frozen=True)
class Future:
    """One thing that may happen. dt: seconds, 0 where the future is only a pose."""

    kind: str
    dt: float
    poses: Poses


def penetration(data: mujoco.MjData) -> float:
    return max((-contact.dist for contact in data.contact), default=0.0)


def choose_joints(
    model: mujoco.MjModel, joints: list[int], count: int, rng: np.random.Generator
) -> list[int]:
    """Distinct joints; free bodies, which always move far enough to be kept, come less often."""
    weights = np.where(model.jnt_type[joints] == FREE, 0.4, 1.0)
    chosen = rng.choice(joints, min(count, len(joints)), replace=False, p=weights / weights.sum())
    return [int(joint) for joint in chosen]


def moved_pose(
    model: mujoco.MjModel, qpos: np.ndarray, joint: int, rng: np.random.Generator
) -> np.ndarray:
    """`qpos` with one joint moved at random; free bodies slide and turn on the table."""
    qpos, at = qpos.copy(), model.jnt_qposadr[joint]
    if model.jnt_type[joint] == FREE:
        angle, turn = rng.uniform(0, 2 * np.pi), rng.uniform(-0.9, 0.9) * (rng.random() < 0.7)
        qpos[at : at + 2] += rng.uniform(0, 0.25) * np.array([np.cos(angle), np.sin(angle)])
        qpos[at + 2] += rng.uniform(0, 0.15) * (rng.random() < 0.25)
        spin = np.array([np.cos(turn / 2), 0, 0, np.sin(turn / 2)])
        mujoco.mju_mulQuat(qpos[at + 3 : at + 7], spin, qpos[at + 3 : at + 7].copy())
    elif model.jnt_limited[joint]:
        qpos[at] = rng.uniform(*model.jnt_range[joint])
    else:
        reach = 1.0 if model.jnt_type[joint] == HINGE else 0.15
        qpos[at] += rng.uniform(-reach, reach)
    return qpos


def kinematic(
    model: mujoco.MjModel,
    scratch: mujoco.MjData,
    qpos: np.ndarray,
    joints: list[int],
    rng: np.random.Generator,
) -> Future | None:
    """One to three joints somewhere else, all else as in `qpos`; None when bodies collide."""
    scratch.qpos[:] = qpos
    mujoco.mj_fwdPosition(model, scratch)
    allowed = penetration(scratch) + DEEPEST_NEW_CONTACT
    count = int(rng.choice([1, 2, 3], p=[0.7, 0.22, 0.08]))
    for joint in choose_joints(model, joints, count, rng):
        scratch.qpos[:] = moved_pose(model, scratch.qpos, joint, rng)
    mujoco.mj_fwdPosition(model, scratch)
    if penetration(scratch) > allowed:
        return None
    return Future("kinematic", 0.0, Poses.of(scratch))


def dynamics(
    model: mujoco.MjModel,
    scratch: mujoco.MjData,
    qpos: np.ndarray,
    joints: list[int],
    rng: np.random.Generator,
) -> Future:
    """A joint or free body gets a push (a velocity), and physics runs for up to half a second."""
    mujoco.mj_resetData(model, scratch)
    scratch.qpos[:] = qpos
    [joint] = choose_joints(model, joints, 1, rng)
    at = model.jnt_dofadr[joint]
    if model.jnt_type[joint] == FREE:
        angle = rng.uniform(0, 2 * np.pi)
        scratch.qvel[at : at + 2] = rng.uniform(0.3, 1.6) * np.array([np.cos(angle), np.sin(angle)])
        scratch.qvel[at + 5] = rng.uniform(-4, 4)
    else:
        fastest = 6.0 if model.jnt_type[joint] == HINGE else 1.2
        scratch.qvel[at] = rng.uniform(-fastest, fastest)
    steps = int(rng.uniform(0.1, 0.5) / model.opt.timestep)
    for _ in range(steps):
        mujoco.mj_step(model, scratch)
    mujoco.mj_fwdPosition(model, scratch)
    return Future("dynamics", steps * model.opt.timestep, Poses.of(scratch))
