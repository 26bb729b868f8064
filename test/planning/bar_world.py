# SPDX-License-Identifier: Apache-2.0
"""A world whose answers are known: a bar that turns a little about its pivot."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import torch

from fpt_ros.model import MotionMixture
from fpt_ros.planning import plan_poke

PIVOT = np.array([40.0, 100.0])
WANTED, GOAL = np.array([180.0, 100.0]), np.array([0.0, 28.0])
STAY = np.array([[60.0, 30.0], [150.0, 180.0]])
EVERYWHERE = np.ones((200, 200), bool)


def on_bar(places: np.ndarray) -> np.ndarray:
    """From the pivot to the right, 20 pixels wide."""
    along = places[..., 0] - PIVOT[0]
    return (along > 5) & (along < 150) & (np.abs(places[..., 1] - PIVOT[1]) < 10)


def normals(locs: np.ndarray, deviation: np.ndarray) -> MotionMixture:
    """One round normal each: means [..., 2] and deviations [...]."""
    tril = torch.from_numpy(deviation)[..., None, None, None] * torch.eye(2, dtype=torch.float64)
    zeros = torch.zeros(*deviation.shape, 1, dtype=torch.float64)
    return MotionMixture(zeros, torch.from_numpy(locs)[..., None, :], tril)


def motions(pokes: np.ndarray, points: np.ndarray) -> MotionMixture:
    """Of the points, for each of the pokes [M, 4]; pokes beside the bar are believed in more."""
    lever = (points[:, 0] - PIVOT[0]) / np.maximum(pokes[:, None, 0] - PIVOT[0], 5)
    locs = lever[..., None] * pokes[:, None, 2:] * on_bar(points)[:, None]
    locs[..., 0] = 0  # along the bar nothing gives
    beside = np.minimum(np.abs(pokes[:, None, 1] - PIVOT[1]), 20)
    return normals(locs, 0.3 + (1.7 - 0.05 * beside) * on_bar(points))


def evaluator(motions: Callable[[np.ndarray, np.ndarray], MotionMixture]) -> Callable:
    """What planners ask, of a world given as `motions(pokes [M, P, 4], points)`."""

    def evaluate(candidates, points, goals, tolerance, *, return_motions):
        moved, goals = motions(np.stack(candidates), points), torch.from_numpy(goals)
        return SimpleNamespace(
            probability=moved.probability_within(goals, tolerance).numpy(),
            expected_error=moved.expected_distance(goals).numpy(),
            motions=[moved[i] for i in range(len(candidates))] if return_motions else [],
        )

    return evaluate


evaluate = evaluator(lambda pokes, points: motions(pokes[:, 0], points))


class Counted:
    """Evaluates, and keeps how many candidates and points each question had."""

    def __init__(self, evaluate: Callable = evaluate) -> None:
        self.evaluate, self.questions = evaluate, []

    def __call__(self, candidates, points, *rest, **options):
        self.questions.append((len(candidates), len(points)))
        return self.evaluate(candidates, points, *rest, **options)


def plan(**changes):
    """Plans for the bar's end, unless changed."""
    arguments = {
        "evaluate": evaluate,
        "points": WANTED[None],
        "goals": GOAL[None],
        "stay": STAY,
        "touchable": EVERYWHERE,
        "reach": 60.0,
        "tolerance": 5.0,
    }
    return plan_poke(**(arguments | changes))


def turned(poke: np.ndarray) -> float:
    """How far down the wanted point goes."""
    return poke[3] * (WANTED[0] - PIVOT[0]) / (poke[0] - PIVOT[0])
