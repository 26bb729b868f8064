"""What a prediction is judged by, and the baselines that it has to beat. NumPy only.

Arrays have a row for each case (a picture, one of its futures, a poke) and a column for each of
its n points; flows and errors are in image sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.training.batches import choose_poke
from fpt_ros.training.scenes import MOVING, Scene

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Bool, Float, Int, UInt8

POKES = 4


@dataclass(frozen=True)
class Cases:
    """Questions with known answers: poke a moving point of a picture, where do the others go?"""

    images: UInt8[np.ndarray, "c s s 3"]
    points: Float[np.ndarray, "c n 2"]
    flow: Float[np.ndarray, "c n 2"]
    bodies: Int[np.ndarray, "c n"]
    pokes: Int[np.ndarray, "c 4"]
    """Points to poke, all on one body; the first alone where one poke is asked for."""
    uniform: int
    """Leading points drawn uniformly over the picture."""

    @cached_property
    def moving(self) -> Bool[np.ndarray, "c n"]:
        return np.linalg.norm(self.flow, axis=-1) > MOVING

    @cached_property
    def same_body(self) -> Bool[np.ndarray, "c n"]:
        """Points on the poked body, the poke itself apart."""
        same = self.bodies == np.take_along_axis(self.bodies, self.pokes[:, :1], 1)
        np.put_along_axis(same, self.pokes[:, :1], False, 1)
        return same

    @cached_property
    def distance(self) -> Float[np.ndarray, "c n"]:
        """From the first poke."""
        poke = np.take_along_axis(self.points, self.pokes[:, :1, None], 1)
        return np.linalg.norm(self.points - poke, axis=-1)

    @cached_property
    def poke_flow(self) -> Float[np.ndarray, "c 1 2"]:
        return np.take_along_axis(self.flow, self.pokes[:, :1, None], 1)


def make_cases(scenes: list[Scene], seed: int = 0) -> Cases:
    """One case a scene: a random future, a random moving body, four of its points."""
    rng = np.random.default_rng(seed)
    flows, pokes = [], []
    for scene in scenes:
        flow = scene.flows[rng.integers(len(scene.flows))]
        first = choose_poke(flow, scene.bodies, rng)
        body = np.flatnonzero(scene.bodies == scene.bodies[first])
        flows.append(flow)
        pokes.append([first, *rng.choice(body, POKES - 1)])
    return Cases(
        np.stack([scene.image for scene in scenes]),
        np.stack([scene.points for scene in scenes]),
        np.stack(flows),
        np.stack([scene.bodies for scene in scenes]),
        np.array(pokes),
        min(scene.uniform for scene in scenes),
    )


def masked_mean(values: Float[np.ndarray, "c n"], mask: Bool[np.ndarray, "c n"]) -> float:
    """Mean over each case's chosen points, then over the cases that have any."""
    counts = mask.sum(1)
    sums = (values * mask).sum(1)
    return float(np.mean(sums[counts > 0] / counts[counts > 0]))


def errors(cases: Cases, predicted: Float[np.ndarray, "c n 2"]) -> dict[str, float]:
    """Mean end-point error on the poked body, on points that stay, and the mean of the two."""
    distance = np.linalg.norm(predicted - cases.flow, axis=-1)
    same = masked_mean(distance, cases.same_body)
    static = masked_mean(distance, ~cases.moving)
    return {"same_body": same, "static": static, "mean": (same + static) / 2}


def mean_iou(cases: Cases, part: Bool[np.ndarray, "c n"]) -> float:
    """Intersection over union of a predicted moving part with the true one, mean over cases."""
    both = (part & cases.moving).sum(1)
    either = (part | cases.moving).sum(1)
    return float(np.mean(both / np.maximum(either, 1)))


def best_threshold(cases: Cases, score: Float[np.ndarray, "c n"]) -> tuple[float, float]:
    """The threshold above which ``score`` finds the moving part best, and its mean IoU."""
    candidates = np.quantile(score, np.linspace(0.02, 0.995, 120))
    ious = [mean_iou(cases, score > threshold) for threshold in candidates]
    best = int(np.argmax(ious))
    return float(candidates[best]), ious[best]


def fading_poke(cases: Cases, sigma: float) -> Float[np.ndarray, "c n 2"]:
    """Baseline: the poke's flow, fading with distance as a normal of width ``sigma``."""
    return cases.poke_flow * np.exp(-((cases.distance / sigma) ** 2) / 2)[..., None]


def best_sigma(cases: Cases) -> float:
    """The width with which the fading poke errs least."""
    candidates = np.linspace(0.02, 0.6, 59)
    return float(min(candidates, key=lambda s: errors(cases, fading_poke(cases, s))["mean"]))


def baselines(sigma: float) -> dict[str, Callable[[Cases], Float[np.ndarray, "c n 2"]]]:
    """Predictions that need no picture, by name."""
    return {
        "nothing moves": lambda cases: np.zeros_like(cases.flow),
        "all moves like the poke": lambda cases: np.broadcast_to(cases.poke_flow, cases.flow.shape),
        "poke fading with distance": lambda cases: fading_poke(cases, sigma),
    }


def shuffle_pictures(count: int) -> Int[np.ndarray, "c"]:
    """For each case the index of another one's picture, half the set away.

    Pictures of one scene stand next to each other, so this exchanges them between scenes.
    """
    return np.roll(np.arange(count), count // 2)
