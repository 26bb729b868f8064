# SPDX-License-Identifier: Apache-2.0
"""A trial as a film: the task, the plan and what is expected of it, the push, and the verdict."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fpt_ros.apps.planner_demo.trials import NEAREST, Trial, Try
from fpt_ros.drawing import ellipse_outlines
from fpt_ros.simulation.flow import Poses
from fpt_ros.simulation.push_world import Outcome
from fpt_ros.simulation.rendering import Renderer

if TYPE_CHECKING:
    import mujoco
    from jaxtyping import Float, UInt8

SIDE, CAPTION = 480, 88
"""Pixels: of the square picture, and of the text under it."""
RATE = 25
"""Pictures a second; the push is shown in real time."""
TASK_SECONDS, PLAN_SECONDS, VERDICT_SECONDS = 2.5, 3.0, 3.0
WANTED, STAY, POKE, FORBIDDEN = (255, 205, 0), (60, 220, 90), (255, 255, 255), (225, 40, 40)
FINGER_RADIUS = 0.009
"""Metres."""
CORNERS = 48
SHIFT = 4  # OpenCV takes coordinates in 1/16 of a pixel


def write_film(path: Path, pictures: Iterable[UInt8[np.ndarray, "h w 3"]]) -> None:
    """All pictures as a webm (VP8), which browsers play.

    Raises:
        RuntimeError: OpenCV cannot write such films here.
    """
    size = (SIDE, SIDE + CAPTION)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"VP80"), RATE, size)
    if not writer.isOpened():
        raise RuntimeError(f"OpenCV cannot write {path}: it lacks the codec VP8")
    for picture in pictures:
        writer.write(np.ascontiguousarray(picture[..., ::-1]))
    writer.release()


def film(canvas: Canvas) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """The pictures of one try, the push itself rendered anew."""
    with Renderer(canvas.world.model, SIDE, SIDE) as renderer:
        start = canvas.picture(renderer, canvas.world.at_rest())
        yield from repeat(canvas.task(start), round(TASK_SECONDS * RATE))
        yield from repeat(canvas.plan(start), round(PLAN_SECONDS * RATE))
        shots: list[UInt8[np.ndarray, "h w 3"]] = []

        def watch(time: float, data: mujoco.MjData, finger: Float[np.ndarray, " 3"]) -> None:
            if time * RATE >= len(shots):
                shots.append(canvas.push(canvas.picture(renderer, data), Poses.of(data), finger))

        outcome = canvas.world.push(np.array(canvas.one.verdict.poke), watch)
        yield from shots
        yield from repeat(canvas.verdict(shots[-1], outcome), round(VERDICT_SECONDS * RATE))


def in_short(pictures: list[UInt8[np.ndarray, "h w 3"]]) -> UInt8[np.ndarray, "h2 w 3"]:
    """Of a try's pictures the plan, and below it the verdict."""
    return np.vstack([pictures[round(TASK_SECONDS * RATE)], pictures[-1]])


class Canvas:
    """Draws a try's pictures; its points are pixels of the small picture that the node saw."""

    def __init__(self, trial: Trial, one: Try) -> None:
        self.trial, self.one, self.world = trial, one, one.task.world
        self.scale = SIDE / self.world.size
        self.start = Poses.of(self.world.at_rest())

    def picture(self, renderer: Renderer, data: mujoco.MjData) -> UInt8[np.ndarray, "h w 3"]:
        """What the camera would see of this state with more pixels."""
        view = dataclasses.replace(self.world.camera, width=SIDE, height=SIDE)
        return self.world.exposed(renderer.colour(data, view))

    def task(self, picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
        picture = self._with_task(picture)
        lines = [
            f"{self.world.names}",
            "Move the yellow point along its arrow, into the circle.",
            "Do not touch what is red. The green points must stay.",
        ]
        return captioned(picture, lines)

    def plan(self, picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """With the poke, and where the points are expected: ellipses of two deviations."""
        task, plan = self.one.task, self.one.plan
        picture = self._with_task(picture)
        points = np.vstack([task.point, task.stay])
        outlines = ellipse_outlines(
            self._big(points + plan.mean), plan.covariance * self.scale**2, CORNERS
        )
        for outline, colour in zip(outlines, [WANTED] + [STAY] * len(task.stay), strict=True):
            fixed = [np.round(outline * (1 << SHIFT)).astype(np.int32)]
            cv2.polylines(picture, fixed, True, colour, 1, cv2.LINE_AA, SHIFT)
        self._arrow(picture, plan.poke[:2], plan.poke[2:], POKE)
        lines = [
            "Planned: the white poke. Ellipses: where points are expected.",
            f"Goal reached with probability {plan.probability[0]:.2f},",
            f"each green point stays with {plan.probability[1:].min(initial=1):.2f} or more.",
        ]
        return captioned(picture, lines)

    def push(
        self,
        picture: UInt8[np.ndarray, "h w 3"],
        now: Poses,
        finger: Float[np.ndarray, " 3"],
    ) -> UInt8[np.ndarray, "h w 3"]:
        """A moment of the push: the finger's tip, and where the points are."""
        picture, outcome = picture.copy(), Outcome(self.world, self.start, now)
        self._goal(picture)
        self._points(picture, outcome)
        pixel, depth = self.world.camera.project(finger[None])
        radius = FINGER_RADIUS / depth[0] * self.world.camera.focal * self.scale
        centre = self._fixed(pixel[0] - 0.5)
        for share, colour in ((1.0, (40, 40, 40)), (0.85, (200, 90, 200)), (0.3, (255, 230, 255))):
            size = round(share * radius * (1 << SHIFT))
            cv2.circle(picture, centre, size, colour, -1, cv2.LINE_AA, SHIFT)
        return captioned(picture, ["The fingertip carries it out."])

    def verdict(
        self, picture: UInt8[np.ndarray, "h w 3"], outcome: Outcome
    ) -> UInt8[np.ndarray, "h w 3"]:
        """What came of it."""
        mine, nearest = self.one.verdict, self.trial.verdicts[NEAREST]
        picture = picture[:SIDE].copy()
        task = self.one.task
        [moved] = outcome.displacement(task.point[None])
        self._arrow(picture, task.point, moved, WANTED)
        lines = [
            f"{'REACHED' if mine.reached else 'MISSED'}: {100 * mine.error:.1f} % of the side off."
            f" {'Nothing else moved.' if mine.stayed else 'SOMETHING ELSE MOVED.'}",
            f"Pushing the nearest allowed point: {100 * nearest.error:.1f} % off"
            f"{'' if nearest.stayed else ', others move'}.",
        ]
        return captioned(picture, lines)

    def _with_task(self, picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
        task = self.one.task
        touchable = cv2.resize(task.touchable.astype(np.uint8), (SIDE, SIDE)) > 0
        tinted = picture // 2 + np.array(FORBIDDEN, np.uint8) // 2
        near = self._disc()
        picture = np.where((near & ~touchable)[..., None], tinted, picture)
        picture = np.where((~near & ~touchable)[..., None], picture // 3 * 2, picture)
        picture = np.ascontiguousarray(picture)
        self._goal(picture)
        self._points(picture, Outcome(self.world, self.start, self.start))
        self._arrow(picture, task.point, task.goal, WANTED)
        return picture

    def _disc(self) -> np.ndarray:
        x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
        centre = self._big(self.one.task.point)
        return np.hypot(x - centre[0], y - centre[1]) <= self.one.task.radius * self.scale

    def _goal(self, picture: UInt8[np.ndarray, "h w 3"]) -> None:
        task = self.one.task
        radius = round(task.tolerance * self.scale * (1 << SHIFT))
        centre = self._fixed(task.point + task.goal)
        cv2.circle(picture, centre, radius, (0, 0, 0), 3, cv2.LINE_AA, SHIFT)
        cv2.circle(picture, centre, radius, WANTED, 1, cv2.LINE_AA, SHIFT)

    def _points(self, picture: UInt8[np.ndarray, "h w 3"], outcome: Outcome) -> None:
        task = self.one.task
        points = np.vstack([task.point, task.stay])
        places = points + outcome.displacement(points)
        for place, colour in zip(places, [WANTED] + [STAY] * len(task.stay), strict=True):
            for size, shade in ((5, (0, 0, 0)), (4, colour)):
                centre = self._fixed(place)
                cv2.circle(picture, centre, size << SHIFT, shade, -1, cv2.LINE_AA, SHIFT)

    def _arrow(
        self,
        picture: UInt8[np.ndarray, "h w 3"],
        start: Float[np.ndarray, " 2"],
        shift: Float[np.ndarray, " 2"],
        colour: tuple[int, int, int],
    ) -> None:
        ends = self._fixed(start), self._fixed(start + shift)
        tip = min(0.4, 12 / max(float(np.linalg.norm(shift)) * self.scale, 1))
        for shade, width in (((0, 0, 0), 5), (colour, 2)):
            cv2.arrowedLine(picture, *ends, shade, width, cv2.LINE_AA, SHIFT, tip)

    def _big(self, points: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
        return (points + 0.5) * self.scale - 0.5

    def _fixed(self, point: Float[np.ndarray, " 2"]) -> tuple[int, int]:
        x, y = np.round(np.clip(self._big(point), -4000, 4000) * (1 << SHIFT)).astype(int).tolist()
        return x, y


def captioned(picture: UInt8[np.ndarray, "h w 3"], lines: list[str]) -> UInt8[np.ndarray, "h w 3"]:
    """The picture with up to three lines of text under it."""
    bar = np.full((CAPTION, SIDE, 3), 24, np.uint8)
    for i, line in enumerate(lines):
        place = (10, 24 + 26 * i)
        cv2.putText(bar, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255,) * 3, 1, cv2.LINE_AA)
    return np.vstack([picture, bar])
