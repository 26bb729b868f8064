# SPDX-License-Identifier: Apache-2.0
"""Ways to open a drawer or a door at a chosen point, with a fingertip that gives way.

The task gives the handle point, whether the part is a drawer or a door, and roughly the direction
in which it opens. What the robot learns beyond it comes from its camera and from where its finger
is.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from fpt_ros.apps.planner_demo.feeling import arm_of, most_fitting, travelled
from fpt_ros.apps.planner_demo.robot import Look, Robot
from fpt_ros.geometry import Joint, JointKind, NoJoint, fit_joints, observe
from fpt_ros.simulation.rendering import Renderer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, UInt8

    from fpt_ros.simulation.opening_tasks import OpeningTask

OBSERVED, FELT = "push, observe, follow", "the same without observing"
ONCE, PREDICTED = "push, observe once, follow at one go", "follow the prediction at one go"
STRAIGHT = "straight pull"
LEG = 0.02
"""Metres that the handle is led between two looks: the tracker loses longer ways."""
LEGS = 16
ENOUGH = 0.03
"""Share of the goal that may be left when the robot thinks that it is done."""
WAYPOINTS, MOST = 20, 2
"""Of a path, and joints that are kept of an observation."""
TOLERANCE = 0.1
"""A part is opened when it truly went as far as wanted but for this share, and is still held."""


@dataclasses.dataclass(frozen=True)
class Ending:
    """What one way came to."""

    travel: float
    """That the part truly went, metres or radians."""
    goal: float
    held: bool
    """Whether the finger's force was enough to the end."""
    looks: int
    """After a push, and how many of them gave a joint."""
    joints: int
    picture: UInt8[np.ndarray, "s s 3"]

    @property
    def success(self) -> bool:
        return self.within(TOLERANCE)

    def within(self, share: float) -> bool:
        """Whether the part went as far as wanted but for this share, and is still held."""
        return self.held and abs(self.travel / self.goal - 1) <= share

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
        for name, way in WAYS.items():
            robot = Robot(task, renderer, seed)
            looks, joints = way(robot)
            travel = task.opened(robot.data)
            picture = robot.picture()
            endings[name] = Ending(travel, task.goal, robot.finger.holds, looks, joints, picture)
    return OpeningTrial(task, before, endings)


def straight(robot: Robot) -> tuple[int, int]:
    """Pull in the direction that the task gives, as far as the handle really has to go."""
    robot.lead((robot.place + whole_way(robot) * robot.direction)[None])
    return 0, 0


def whole_way(robot: Robot) -> float:
    """Metres from where the handle is to where it has to go, by the true joint."""
    task = robot.task
    return float(2 * task.arm() * np.sin(task.goal / 2)) if task.hinge else task.goal


def follow_prediction(robot: Robot) -> tuple[int, int]:
    """Follow the joint that the planned push alone foretells, all the way."""
    for joint in predicted(robot)[:1]:
        robot.lead(path_along(joint, robot.place, robot.task.goal))
    return 0, 0


def observe_once(robot: Robot) -> tuple[int, int]:
    """Push by LEG, and follow the joint that was seen, all the way."""
    before = robot.look()
    robot.lead((robot.place + LEG * robot.direction)[None])
    after = robot.look()
    joints = seen_joints(robot, before, after)
    places = np.array([before.place, after.place])
    for joint in joints[:1]:
        left = robot.task.goal - travelled(joint, places)
        robot.lead(path_along(joint, robot.place, left))
    return 1, bool(joints)


def with_observing(robot: Robot) -> tuple[int, int]:
    """Push by LEG, observe, fit the joint, follow it by LEG, observe again, until it is open."""
    return push_and_follow(robot, observing=True)


def without_observing(robot: Robot) -> tuple[int, int]:
    """The same with the predicted joints only; where the finger is chooses between them."""
    return push_and_follow(robot, observing=False)


def push_and_follow(robot: Robot, observing: bool) -> tuple[int, int]:
    """Lead the handle leg by leg; looks after a push, and how many of them gave a joint.

    Of the predicted joints, and those seen so far, the one is followed that agrees best with where
    the finger has been; where none does, the finger goes on as it went.
    """
    looks, found, seen = [robot.look()], predicted(robot), 0
    places = robot.place[None]
    for _ in range(LEGS):
        path = next_leg(robot, found, places)
        if path is None or not robot.lead(path):
            break
        places = np.vstack([places, robot.place])
        if observing:
            looks.append(robot.look())
            joints = seen_joints(robot, *looks[-2:])
            found, seen = found + joints[:MOST], seen + bool(joints)
    return len(looks) - 1, seen


def next_leg(
    robot: Robot, joints: Sequence[Joint], places: Float[np.ndarray, "n 3"]
) -> Float[np.ndarray, "m 3"] | None:
    """Where to lead the held point now; None: the part is open."""
    joint = most_fitting(joints, places)
    if len(places) == 1:
        return places[-1:] + LEG * robot.direction
    if joint is None:
        way = places[-1] - places[-2]
        return places[-1:] + LEG * way / max(float(np.linalg.norm(way)), 1e-6)
    left = robot.task.goal - travelled(joint, places)
    if left <= ENOUGH * robot.task.goal:
        return None
    return path_along(joint, places[-1], min(left, LEG / max(arm_of(joint, places[-1]), LEG)))


def predicted(robot: Robot) -> list[Joint]:
    """Joints by the planned push alone, with depth and the part's true mask, before it is done."""
    poke = np.concatenate([robot.place, LEG * robot.direction])[None]
    depth, none = robot.look().depth, np.empty((0, 4))
    kind, mask = kind_of(robot.task), robot.task.mask
    try:
        return fit_joints(robot.camera, depth, none, mask, pokes_3d=poke, kind=kind)
    except NoJoint:
        return []


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


WAYS = {
    OBSERVED: with_observing,
    FELT: without_observing,
    ONCE: observe_once,
    PREDICTED: follow_prediction,
    STRAIGHT: straight,
}
