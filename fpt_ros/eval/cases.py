# SPDX-License-Identifier: Apache-2.0
"""Questions with known answers: poke a moving point of a frame, where do the other points go?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.data.points import evening_weights, moves

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Int, Int32, UInt8

    from fpt_ros.data.moments import Moment

POKES = 4
POINTS = 256
"""Asked for in one case at most, drawn by lot where there are more."""
NOISE = 0.002
"""Standard deviation of what training adds to its targets, and so part of what is predicted."""


@dataclass(frozen=True)
class Case:
    """One question. Positions and flows are in image sides, x right, y down."""

    key: str
    """The clip's."""
    image: UInt8[np.ndarray, "s s 3"]
    camera_static: bool
    pokes: Float32[np.ndarray, "4 4"]
    """x, y, dx, dy of moving points, all on one body where bodies are known; the first alone
    where one poke is asked for."""
    points: Float32[np.ndarray, "n 2"]
    """Other points, whose flow is asked for."""
    flow: Float32[np.ndarray, "n 2"]
    noise: Float32[np.ndarray, "n 2"]
    """Added to the flow where a density is judged: training adds as much."""
    moving: Bool[np.ndarray, "n"]
    same_body: Bool[np.ndarray, "n"]
    """On the poked body; nowhere, where bodies are not known."""
    weight: Float32[np.ndarray, "n"]
    scene: str = ""
    """Where it was filmed, see `fpt_ros.eval.reading.scene_of`; pictures are exchanged between
    scenes only."""


class Cases:
    """Many cases. Arrays hold all their points, one case after the other."""

    def __init__(self, cases: list[Case]) -> None:
        self.each = cases
        self.of: Int[np.ndarray, "n"] = np.repeat(
            np.arange(len(cases)), [len(case.points) for case in cases]
        )
        """The case of each point."""

    def __len__(self) -> int:
        return len(self.each)

    @cached_property
    def flow(self) -> Float32[np.ndarray, "n 2"]:
        return np.concatenate([case.flow for case in self.each])

    @cached_property
    def noisy_flow(self) -> Float32[np.ndarray, "n 2"]:
        return np.concatenate([case.flow + case.noise for case in self.each])

    @cached_property
    def moving(self) -> Bool[np.ndarray, "n"]:
        return np.concatenate([case.moving for case in self.each])

    @cached_property
    def same_body(self) -> Bool[np.ndarray, "n"]:
        return np.concatenate([case.same_body for case in self.each])

    @cached_property
    def weight(self) -> Float32[np.ndarray, "n"]:
        return np.concatenate([case.weight for case in self.each])

    @cached_property
    def poke_flow(self) -> Float32[np.ndarray, "n 2"]:
        """The first poke's."""
        return np.stack([case.pokes[0, 2:] for case in self.each])[self.of]

    @cached_property
    def distance(self) -> Float32[np.ndarray, "n"]:
        """From the first poke."""
        poked = np.stack([case.pokes[0, :2] for case in self.each])[self.of]
        return np.linalg.norm(np.concatenate([c.points for c in self.each]) - poked, axis=-1)


def make_case(
    moment: Moment, row: int, rng: np.random.Generator, noise: float = NOISE, scene: str = ""
) -> Case | None:
    """A case of a moment and one of its other frames, or None where no point moves.

    Every moving body is as likely to be poked as another. Without bodies, only points that are
    seen in the other frame too count: where a tracker believes the others to be is a guess.
    """
    flow, bodies = moment.flows[row], moment.bodies
    known = moment.seen[row].copy() if bodies is None else np.ones(len(flow), bool)
    moving = known & moves(moment.points, flow, bodies)
    pokes = choose_pokes(moving, bodies, rng)
    if pokes is None:
        return None
    known[pokes] = False
    asked = rng.permutation(np.flatnonzero(known))[:POINTS]
    if not len(asked):
        return None
    same = np.zeros(len(flow), bool) if bodies is None else bodies == bodies[pokes[0]]
    points = moment.points[asked]
    return Case(
        key=moment.key,
        image=moment.image,
        camera_static=bool(moment.camera_static[row]),
        pokes=np.concatenate([moment.points[pokes], flow[pokes]], 1),
        points=points,
        flow=flow[asked],
        noise=rng.normal(0, noise, points.shape).astype(np.float32),
        moving=moving[asked],
        same_body=same[asked],
        weight=evening_weights(points),
        scene=scene or moment.key,
    )


def choose_pokes(
    moving: Bool[np.ndarray, "n"], bodies: Int32[np.ndarray, "n"] | None, rng: np.random.Generator
) -> Int[np.ndarray, "4"] | None:
    """Points to poke, None where none moves: one that moves, the others on its body, or moving.

    They differ, where there are enough.
    """
    candidates = np.flatnonzero(moving)
    if not len(candidates):
        return None
    others = candidates
    if bodies is not None:
        body = rng.choice(np.unique(bodies[candidates]))
        candidates = candidates[bodies[candidates] == body]
        others = np.flatnonzero(bodies == body)
    first = rng.choice(candidates)
    others = others[others != first]
    if not len(others):
        return np.full(POKES, first)
    more = rng.choice(others, POKES - 1, replace=len(others) < POKES - 1)
    return np.concatenate([[first], more])
