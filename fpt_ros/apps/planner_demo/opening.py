# SPDX-License-Identifier: Apache-2.0
"""Three ways to open a drawer or a door at a chosen point, with a fingertip that gives way.

The task gives the handle point, whether the part is a drawer or a door, and roughly the direction in
which it opens. What the robot learns beyond it comes from its camera and from where its finger is.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from fpt_ros.apps.planner_demo.robot import Look, Robot
from fpt_ros.geometry import Joint, JointKind, NoJoint, fit_joints, observe
from fpt_ros.simulation.rendering import Renderer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, UInt8

    from fpt_ros.simulation.opening_tasks import OpeningTask

OBSERVED, PREDICTED, STRAIGHT = "push, observe, follow", "follow the prediction", "straight pull"
WAYS = (OBSERVED, PREDICTED, STRAIGHT)
LEG = 0.02
"""Metres that the handle is led between two looks: the tracker loses longer ways."""
LEGS = 16
ENOUGH = 0.03
"""Share of the goal that may be left when the robot thinks that it is done."""
WAYPOINTS = 20
TOLERANCE = 0.2
"""A part is opened when its true travel is within this share of the goal."""


@dataclasses.dataclass(frozen=True)
class Ending:
    """What one way came to."""

    travel: float
    """That the part truly went, metres or radians."""
    goal: float
    held: bool
    """Whether the finger's force was enough to the end."""
    looks: int
    """With a joint, and without one, after a push."""
    joints: int
    picture: UInt8[np.ndarray, "s s 3"]

    @property
    def success(self) -> bool:
        return abs(self.travel / self.goal - 1) <= TOLERANCE

    def as_json(self) -> dict[str, Any]:
        """Without the picture."""
        values = dataclasses.asdict(self)
        del values["picture"]
        return values | {"success": self.success}


@dataclasses.dataclass(frozen=True)
class OpeningTrial:
    """One task, and how each way ended."""

    task: OpeningTask
    before: UInt8[np.ndarray, "s s 3"]
    endings: dict[str, Ending]

    def as_json(self) -> dict[str, Any]:
        """For the results file."""
        task = self.task
        return {
            "scene": task.name,
            "door": task.hinge,
            "askew": task.tilted,
            "handle_to_axis": task.arm() if task.hinge else None,
            "endings": {name: ending.as_json() for name, ending in self.endings.items()},
        }


def attempt(task: OpeningTask, seed: int) -> OpeningTrial:
    """Each way from the same state of the scene."""
    endings = {}
    size = task.camera.width
    with Renderer(task.model, size, size) as renderer:
        before = Robot(task, renderer, seed).picture()
        for name, way in zip(WAYS, (push_and_follow, follow_prediction, straight), strict=True):
            robot = Robot(task, renderer, seed)
            looks, joints = way(robot)
            travel = task.opened(robot.data)
            picture = robot.picture()
            endings[name] = Ending(travel, task.goal, robot.finger.holds, looks, joints, picture)
    return OpeningTrial(task, before, endings)


def straight(robot: Robot) -> tuple[int, int]:
    """Pull as far as the handle has to go, in the direction that the task gives."""
    task = robot.task
    length = 2 * task.arm() * np.sin(task.goal / 2) if task.hinge else task.goal
    robot.lead((robot.place + length * robot.direction)[None])
    return 0, 0


def follow_prediction(robot: Robot) -> tuple[int, int]:
    """Follow the joint that the planned push alone foretells, with depth and the part's mask."""
    joint = predicted(robot)
    if joint is None:
        return 0, 0
    robot.lead(path_along(joint, robot.place, robot.task.goal))
    return 0, 1


def predicted(robot: Robot) -> Joint | None:
    """The best joint by the planned push, before anything was done."""
    poke = np.concatenate([robot.place, LEG * robot.direction])[None]
    depth, none = robot.look().depth, np.empty((0, 4))
    try:
        return fit_joints(
            robot.camera, depth, none, robot.task.mask, pokes_3d=poke, kind=kind_of(robot.task)
        )[0]
    except NoJoint:
        return None


def push_and_follow(robot: Robot) -> tuple[int, int]:
    """Push by LEG, observe, fit the joint, follow it by LEG, observe again, until it is open.

    Of the joints seen so far the one is followed that agrees best with where the finger has been.
    """
    looks, found = [robot.look()], []
    seen = 0
    for _ in range(LEGS):
        places = np.array([look.place for look in looks])
        joint = most_fitting(found, places)
        if joint is None:
            path = (robot.place + LEG * robot.direction)[None]
        else:
            left = robot.task.goal - travelled(joint, places)
            if left <= ENOUGH * robot.task.goal:
                break
            path = path_along(joint, robot.place, min(left, LEG / arm_of(joint, robot.place)))
        if not robot.lead(path):
            break
        looks.append(robot.look())
        joints = seen_joints(robot, *looks[-2:])
        found += joints
        seen += bool(joints)
    return len(looks) - 1, seen


def seen_joints(robot: Robot, before: Look, after: Look) -> list[Joint]:
    """What the pictures and depth before and after a push show."""
    start, end = robot.camera.project(np.array([before.place, after.place]))
    poke = np.concatenate([start, end - start])[None]
    pictures = before.image, after.image, before.depth, after.depth
    return observe(robot.camera, *pictures, poke, kind=kind_of(robot.task)).joints


def kind_of(task: OpeningTask) -> JointKind:
    """The task says whether it is a drawer or a door."""
    return JointKind.REVOLUTE if task.hinge else JointKind.PRISMATIC


def path_along(
    joint: Joint, place: Float[np.ndarray, " 3"], travel: float
) -> Float[np.ndarray, "n 3"]:
    """Where the held point has to be led from `place`."""
    travels = travel * np.arange(1, WAYPOINTS + 1) / WAYPOINTS
    return np.concatenate([place + joint.move(place[None], each) for each in travels])


def most_fitting(joints: Sequence[Joint], places: Float[np.ndarray, "n 3"]) -> Joint | None:
    """The joint that explains best where the held point has been."""
    return min(joints, key=lambda joint: misfit(joint, places), default=None)


def misfit(joint: Joint, places: Float[np.ndarray, "n 3"]) -> float:
    """Root mean square [m] of how far places lie beside the joint's way through the last of them."""
    if travelled(joint, places) <= 0:
        return float("inf")
    apart = places - joint.origin
    along = apart @ joint.axis
    across = apart - along[:, None] * joint.axis
    if joint.kind == JointKind.PRISMATIC:
        return float(np.sqrt(((across - across[-1]) ** 2).sum(1).mean()))
    radius = np.linalg.norm(across, axis=1)
    return float(np.sqrt(((radius - radius[-1]) ** 2 + (along - along[-1]) ** 2).mean()))


def travelled(joint: Joint, places: Float[np.ndarray, "n 3"]) -> float:
    """From the first to the last of the places, metres or radians."""
    if joint.kind == JointKind.PRISMATIC:
        return float((places[-1] - places[0]) @ joint.axis)
    first, last = places[0] - joint.origin, places[-1] - joint.origin
    sine = np.cross(first, last) @ joint.axis
    cosine = first @ last - (first @ joint.axis) * (last @ joint.axis)
    return float(np.arctan2(sine, cosine))


def arm_of(joint: Joint, place: Float[np.ndarray, " 3"]) -> float:
    """Metres that the place goes for a travel of one."""
    if joint.kind == JointKind.PRISMATIC:
        return 1.0
    return max(float(np.linalg.norm(np.cross(joint.axis, place - joint.origin))), LEG)
