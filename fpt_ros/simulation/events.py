# SPDX-License-Identifier: Apache-2.0
"""What may happen next in a scene: joints moved to another pose, or pushed with physics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import mujoco
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

DEEPEST_NEW_CONTACT = 0.004
"""Metres that a moved body may reach into another one beyond how it stood before."""
FASTEST = 5.0
"""Metres or radians a second; what is faster after a push comes from contacts that blew up."""
FREE, HINGE = mujoco.mjtJoint.mjJNT_FREE, mujoco.mjtJoint.mjJNT_HINGE


@dataclass(frozen=True)
class State:
    """Where everything is, how fast it moves, and the kinematic move that led here, if one did.

    change: as velocities that lead from the state before to this one in a second.
    """

    qpos: Float[np.ndarray, " nq"]
    qvel: Float[np.ndarray, " nv"]
    change: Float[np.ndarray, " nv"] | None = None

    @classmethod
    def at_rest(cls, model: mujoco.MjModel, qpos: Float[np.ndarray, " nq"]) -> State:
        return cls(qpos.copy(), np.zeros(model.nv))


@dataclass(frozen=True)
class Event:
    """Something that happens from a state on. dt: seconds, 0 where it has no duration."""

    kind: str
    dt: float
    after: State


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
        qpos[at + 2] += rng.uniform(0, 0.15) * (rng.random() < 0.12)
        spin = np.array([np.cos(turn / 2), 0, 0, np.sin(turn / 2)])
        mujoco.mju_mulQuat(qpos[at + 3 : at + 7], spin, qpos[at + 3 : at + 7].copy())
    elif model.jnt_limited[joint]:
        qpos[at] = rng.uniform(*model.jnt_range[joint])
    else:
        reach = 1.0 if model.jnt_type[joint] == HINGE else 0.15
        qpos[at] += rng.uniform(-reach, reach)
    return qpos


def moved_on(model: mujoco.MjModel, state: State, share: float) -> Float[np.ndarray, " nq"]:
    """The state's last kinematic move once more, `share` of it, as far as joints allow."""
    qpos = state.qpos.copy()
    mujoco.mj_integratePos(model, qpos, state.change, share)
    for joint in np.flatnonzero(model.jnt_limited):
        at = model.jnt_qposadr[joint]
        qpos[at] = np.clip(qpos[at], *model.jnt_range[joint])
    return qpos


def kinematic(
    model: mujoco.MjModel,
    scratch: mujoco.MjData,
    state: State,
    joints: list[int],
    rng: np.random.Generator,
) -> Event | None:
    """One to three joints somewhere else, or the last move goes on; all else stays as it is.

    None when bodies collide, or when something lies on what would move.
    """
    scratch.qpos[:], scratch.qvel[:] = state.qpos, 0
    mujoco.mj_fwdPosition(model, scratch)
    allowed = penetration(scratch) + DEEPEST_NEW_CONTACT
    if state.change is not None and rng.random() < 0.35:
        qpos = moved_on(model, state, rng.uniform(0.4, 1.4))
    else:
        qpos = state.qpos
        count = int(rng.choice([1, 2, 3], p=[0.7, 0.22, 0.08]))
        for joint in choose_joints(model, joints, count, rng):
            qpos = moved_pose(model, qpos, joint, rng)
    change = np.zeros(model.nv)
    mujoco.mj_differentiatePos(model, change, 1.0, state.qpos, qpos)
    change[np.abs(change) < 1e-9] = 0  # rounding of quaternions
    if carries(model, scratch, change != 0):
        return None
    scratch.qpos[:] = qpos
    mujoco.mj_fwdPosition(model, scratch)
    if penetration(scratch) > allowed:
        return None
    return Event("kinematic", 0.0, State(qpos, np.zeros(model.nv), change))


def carries(model: mujoco.MjModel, data: mujoco.MjData, dofs: np.ndarray) -> bool:
    """Whether a loose thing that these degrees of freedom do not move touches one they do move,
    from above."""
    moved = np.zeros(model.nbody, bool)
    moved[model.dof_bodyid[dofs]] = True
    for body in range(1, model.nbody):
        moved[body] |= moved[model.body_parentid[body]]
    loose = model.body_dofnum == 6
    for contact in data.contact:
        pair = model.geom_bodyid[contact.geom1], model.geom_bodyid[contact.geom2]
        for below, above in (pair, pair[::-1]):
            lies = data.xipos[above, 2] > contact.pos[2] + 1e-4
            if moved[below] and loose[above] and not moved[above] and lies:
                return True
    return False


def dynamics(
    model: mujoco.MjModel,
    scratch: mujoco.MjData,
    state: State,
    joints: list[int],
    rng: np.random.Generator,
) -> Event | None:
    """Physics for 0.1 to 0.5 s: something is pushed or led, or what moves already moves on.

    A push is a velocity at the start; what is led keeps its velocity, as in a hand, and pushes
    what stands in its way, or takes along what lies on it. None when contacts blow up.
    """
    mujoco.mj_resetData(model, scratch)
    scratch.qpos[:], scratch.qvel[:] = state.qpos, state.qvel
    mujoco.mj_forward(model, scratch)
    led = None
    if not (np.abs(state.qvel).max() > 0.15 and rng.random() < 0.5):
        [joint] = choose_joints(model, joints, 1, rng)
        at = model.jnt_dofadr[joint]
        dofs = [at, at + 1, at + 5] if model.jnt_type[joint] == FREE else [at]
        scratch.qvel[dofs] = velocity(model, scratch, joint, joints, rng)
        if rng.random() < 0.5:
            led = dofs, scratch.qvel[dofs].copy()
    steps = int(rng.uniform(0.1, 0.5) / model.opt.timestep)
    for _ in range(steps):
        if led:
            scratch.qvel[led[0]] = led[1]
        mujoco.mj_step(model, scratch)
    if scratch.warning.number.any() or np.abs(limits(model, scratch.qvel)).max() > FASTEST:
        return None
    after = State(scratch.qpos.copy(), scratch.qvel.copy())
    return Event("dynamics", steps * model.opt.timestep, after)


def limits(model: mujoco.MjModel, qvel: np.ndarray) -> np.ndarray:
    """Velocities with turning scaled down: a small thing that rolls off turns fast."""
    turning = np.zeros(model.nv, bool)
    for joint in range(model.njnt):
        at = model.jnt_dofadr[joint]
        if model.jnt_type[joint] == FREE:
            turning[at + 3 : at + 6] = True
        elif model.jnt_type[joint] == HINGE:
            turning[at] = True
    return np.where(turning, qvel / 8, qvel)


def velocity(
    model: mujoco.MjModel,
    data: mujoco.MjData,
    joint: int,
    joints: list[int],
    rng: np.random.Generator,
) -> np.ndarray:
    """How a joint is pushed [m/s, rad/s]; a loose thing often towards another thing."""
    if model.jnt_type[joint] != FREE:
        fastest = 6.0 if model.jnt_type[joint] == HINGE else 1.2
        return np.array([rng.uniform(-fastest, fastest)])
    angle = rng.uniform(0, 2 * np.pi)
    others = [j for j in joints if j != joint]
    if others and rng.random() < 0.65:
        bodies = model.jnt_bodyid[[joint, int(rng.choice(others))]]
        x, y = np.diff(data.xipos[bodies, :2], axis=0)[0]
        angle = np.arctan2(y, x) + rng.normal(0, 0.15)
    speed = rng.uniform(0.2, 1.4)
    return np.array([speed * np.cos(angle), speed * np.sin(angle), rng.normal(0, 1.5)])
