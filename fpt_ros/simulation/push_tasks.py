# SPDX-License-Identifier: Apache-2.0
"""Tasks for a planner of pokes: move this point so, touch nothing near it, leave the rest alone.

Every task can be solved: its goal is what a simulated finger did to the point by a poke within
all limits. Which poke that was is kept from the planner.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.simulation.flow import Poses
from fpt_ros.simulation.push_world import Outcome, PushWorld, random_world
from fpt_ros.simulation.room import TABLE
from fpt_ros.simulation.splits import SPLITS

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

PROCEDURAL = ("train", "val", "heldout_c", "heldout_d")
BEYOND = 10_000
"""Stands where the data set has the number of a shard; it has fewer."""
SMALLEST_PART = 0.012
"""Of the picture's pixels, that the part with the wanted point shows."""
SMALLEST_NEIGHBOUR = 0.002
COVERED = 0.6
"""Share of the part that lies in the disc round the wanted point, which may not be touched."""
REACH = 0.3
"""Image sides that a poke may be long."""
SHORTEST, LONGEST = 0.08, 0.25
"""Of a goal, image sides."""
TOLERANCE = 0.04
"""Image sides from the goal that still count as reached."""
STILL = 0.02
"""Image sides that count as not moved."""
NEIGHBOUR_POINTS, STATIC_POINTS = 2, 3
ATTEMPTS = 12
"""Pokes that are tried on a part in search of a goal."""


@dataclass(frozen=True)
class PushTask:
    """What a planner is asked to do, in pixels, (0, 0) the centre of the top-left one."""

    world: PushWorld
    point: Float[np.ndarray, " 2"]
    goal: Float[np.ndarray, " 2"]
    stay: Float[np.ndarray, "s 2"]
    touchable: Bool[np.ndarray, "h w"]
    radius: float
    """Of the disc round the wanted point."""
    bystanders: list[int]
    """Groups of bodies that did not move when the goal was made."""
    solution: Float[np.ndarray, " 4"]
    """The poke that made the goal."""
    numbers: list[int]
    """That seed the scene's random generator."""

    @property
    def reach(self) -> float:
        return REACH * self.world.size

    @property
    def tolerance(self) -> float:
        return TOLERANCE * self.world.size

    @property
    def still(self) -> float:
        return STILL * self.world.size

    def since_the_start(self, end: Poses) -> Outcome:
        """Where everything is, when the bodies are at `end`, from where it was before any push."""
        return Outcome(self.world, Poses.of(self.world.at_rest()), end)

    def left_to_do(self, world: PushWorld, end: Poses) -> PushTask | None:
        """What remains of the task in the scene as pushes left it; None where the point has left
        the picture."""
        outcome = self.since_the_start(end)
        point = self.point + outcome.displacement(self.point[None])[0]
        if not world.on_image(point):
            return None
        stay = self.stay + outcome.displacement(self.stay)
        return replace(
            self,
            world=world,
            point=point,
            goal=self.point + self.goal - point,
            stay=stay[[world.on_image(place) for place in stay]],
            touchable=allowed(world, point, self.radius),
        )


def tasks(split: str, seed: int, size: int) -> Iterator[PushTask]:
    """Tasks without end, each in a fresh scene of a purely procedural split or of training's kind.

    Their scenes come from the split's stream of random numbers, beyond those of the data set.

    Raises:
        ValueError: a split without procedural scenes.
    """
    if split not in PROCEDURAL:
        raise ValueError(f"split is {split!r}: must be one of {', '.join(PROCEDURAL)}")
    for scene in count():
        numbers = [seed, SPLITS.index(split), BEYOND, scene]
        rng = np.random.default_rng(numbers)
        world = random_world(rng, split == "heldout_d", size)
        task = world and find_task(world, rng, numbers)
        if task:
            yield task


def find_task(world: PushWorld, rng: np.random.Generator, numbers: list[int]) -> PushTask | None:
    """A task in this scene: a random part that is large enough, and a neighbour of it."""
    groups, areas = np.unique(world.groups[world.groups > 0], return_counts=True)
    shares = areas / world.groups.size
    for group in rng.permutation(groups[shares > SMALLEST_PART]):
        neighbours = [int(g) for g in groups[shares > SMALLEST_NEIGHBOUR] if g != group]
        task = neighbours and task_on_part(world, int(group), neighbours, rng, numbers)
        if task:
            return task
    return None


def task_on_part(
    world: PushWorld,
    group: int,
    neighbours: list[int],
    rng: np.random.Generator,
    numbers: list[int],
) -> PushTask | None:
    """A random point of the part and a goal for it, made by an allowed poke on the same part."""
    part = np.argwhere(world.groups == group)[:, ::-1]
    point = part[rng.integers(len(part))].astype(float)
    distances = np.linalg.norm(part - point, axis=1)
    radius = float(np.quantile(distances, COVERED))
    touchable = allowed(world, point, radius)
    places = part[touchable[part[:, 1], part[:, 0]]]
    for _ in range(ATTEMPTS if len(places) else 0):
        angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(SHORTEST, REACH) * world.size
        shift = length * np.array([np.cos(angle), np.sin(angle)])
        poke = np.concatenate([places[rng.integers(len(places))], shift])
        outcome = world.push(poke)
        goal = outcome.displacement(point[None])[0]
        moved = {g: outcome.largest(g) > STILL * world.size / 2 for g in neighbours}
        bystanders = [g for g in neighbours if not moved[g]]
        if not SHORTEST <= np.linalg.norm(goal) / world.size <= LONGEST or not bystanders:
            continue
        if not world.on_image(point + goal):
            continue
        stay = stay_points(world, point, bystanders, rng)
        return PushTask(world, point, goal, stay, touchable, radius, bystanders, poke, numbers)
    return None


def allowed(
    world: PushWorld, point: Float[np.ndarray, " 2"], radius: float
) -> Bool[np.ndarray, "h w"]:
    """Pixels within reach that do not lie in the disc round the point."""
    return within_reach(world) & ~near(world, point, radius)


def near(
    world: PushWorld, point: Float[np.ndarray, " 2"], radius: float
) -> Bool[np.ndarray, "h w"]:
    """Pixels of the disc round a point."""
    x, y = np.meshgrid(np.arange(world.size), np.arange(world.size))
    return np.hypot(x - point[0], y - point[1]) <= radius


def within_reach(world: PushWorld) -> Bool[np.ndarray, "h w"]:
    """Pixels that show something on the table, or the table itself."""
    places = world.surface(*np.meshgrid(np.arange(world.size), np.arange(world.size)))
    return (np.abs(places[..., :2]) <= TABLE).all(-1) & (places[..., 2] > -0.005)


def stay_points(
    world: PushWorld,
    point: Float[np.ndarray, " 2"],
    bystanders: list[int],
    rng: np.random.Generator,
) -> Float[np.ndarray, "s 2"]:
    """Points of each bystander, and static ones, the nearest of a few to the wanted point."""
    chosen: list[Int[np.ndarray, "n 2"]] = []
    for group in [*bystanders, 0]:
        pixels = np.argwhere((world.groups == group) & within_reach(world))[:, ::-1]
        wanted = NEIGHBOUR_POINTS if group else STATIC_POINTS
        some = pixels[rng.choice(len(pixels), min(len(pixels), 10 * wanted), replace=False)]
        nearest = np.argsort(np.linalg.norm(some - point, axis=1))
        chosen.append(some[nearest[:wanted]])
    return np.concatenate(chosen).astype(float)
