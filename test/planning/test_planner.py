"""Planned pokes: the known optimum of a simple world, all limits, and the embedded weights."""

from __future__ import annotations

import functools
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fpt_ros.inference.predictor import Predictor
from fpt_ros.model import MotionMixture
from fpt_ros.planning import plan_poke

PIVOT = np.array([40.0, 100.0])
WANTED, GOAL = np.array([180.0, 100.0]), np.array([0.0, 28.0])
STAY = np.array([[60.0, 30.0], [150.0, 180.0]])
EVERYWHERE = np.ones((200, 200), bool)


def on_bar(places: np.ndarray) -> np.ndarray:
    """A bar from the pivot to the right, 20 pixels wide."""
    along = places[..., 0] - PIVOT[0]
    return (along > 5) & (along < 150) & (np.abs(places[..., 1] - PIVOT[1]) < 10)


def motions(pokes: np.ndarray, points: np.ndarray) -> MotionMixture:
    """A bar that turns a little about its pivot; pokes beside it are believed in even more."""
    lever = (points[:, 0] - PIVOT[0]) / np.maximum(pokes[:, None, 0] - PIVOT[0], 5)
    locs = lever[..., None] * pokes[:, None, 2:] * on_bar(points)[:, None]
    locs[..., 0] = 0  # along the bar nothing gives
    beside = np.minimum(np.abs(pokes[:, None, 1] - PIVOT[1]), 20)
    deviation = 0.3 + (1.7 - 0.05 * beside) * on_bar(points)
    tril = torch.from_numpy(deviation)[..., None, None, None] * torch.eye(2, dtype=torch.float64)
    zeros = torch.zeros(*locs.shape[:2], 1, dtype=torch.float64)
    return MotionMixture(zeros, torch.from_numpy(locs)[..., None, :], tril)


def evaluate(candidates, points, goals, tolerance, *, return_motions):
    assert all(pokes.shape == (1, 4) for pokes in candidates)
    moved, goals = motions(np.concatenate(candidates), points), torch.from_numpy(goals)
    return SimpleNamespace(
        probability=moved.probability_within(goals, tolerance).numpy(),
        expected_error=moved.expected_distance(goals).numpy(),
        motions=[moved[i] for i in range(len(candidates))] if return_motions else [],
    )


def plan(**changes):
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


def test_the_lever_is_found():
    best = plan()[0]
    assert on_bar(best.poke[:2])
    assert turned(best.poke) == pytest.approx(GOAL[1], abs=1.5)
    np.testing.assert_allclose(best.mean[0], GOAL, atol=1.5)
    np.testing.assert_allclose(best.mean[1:], 0)
    assert best.covariance.shape == (3, 2, 2)
    np.testing.assert_allclose(best.covariance[1], 0.09 * np.eye(2), atol=1e-9)
    assert best.probability[0] > 0.9
    np.testing.assert_allclose(best.probability[1:], 1, atol=1e-6)
    np.testing.assert_allclose(best.expected_error[1:], 0.3 * np.sqrt(np.pi / 2), rtol=1e-5)


def test_where_the_wanted_point_may_not_be_touched():
    """Nearer to the pivot the poke must be shorter."""
    x = np.arange(200)
    left = np.broadcast_to((x < 90), (200, 200))
    for touchable in (left, [[0, 0], [89, 0], [89, 199], [0, 199]]):
        best = plan(touchable=touchable)[0]
        assert best.poke[0] < 89.5
        assert on_bar(best.poke[:2])
        assert turned(best.poke) == pytest.approx(GOAL[1], abs=3)
        assert best.poke[3] < 12


def test_a_place_that_would_not_move_is_not_poked(monkeypatch):
    """The model above believes in pokes beside the bar; only the second look tells them apart."""
    beside = np.zeros((200, 200), bool)
    beside[112:118] = beside[92:109, 50:150] = True
    assert on_bar(plan(touchable=beside)[0].poke[:2])
    monkeypatch.setattr("fpt_ros.planning.search.STUCK", 0.0)
    assert not on_bar(plan(touchable=beside, seed=1)[0].poke[:2])


def test_no_poke_is_longer_than_the_reach():
    plans = plan(reach=10.0, goals=[[0.0, 100.0]])
    assert all(np.hypot(*plan.poke[2:]) <= 10.0 + 1e-9 for plan in plans)
    assert np.hypot(*plans[0].poke[2:]) == pytest.approx(10, abs=0.5)


def test_plans_are_distinct_and_the_best_comes_first():
    plans = plan(plans=4)
    assert len(plans) == 4
    assert sorted([p.score for p in plans], reverse=True) == [p.score for p in plans]
    for i, a in enumerate(plans):
        for b in plans[:i]:
            apart = np.linalg.norm((a.poke - b.poke).reshape(2, 2), axis=1)
            assert apart.max() > 0.25 * 60


def test_a_stay_tolerance_of_its_own():
    wide, narrow = plan(stay_tolerance=20.0)[0], plan(stay_tolerance=0.3)[0]
    np.testing.assert_array_equal(wide.poke, narrow.poke)
    assert wide.probability[1] > 0.999
    assert narrow.probability[1] == pytest.approx(1 - np.exp(-0.5), abs=1e-6)
    assert wide.probability[0] == narrow.probability[0]


def test_equal_seeds_give_equal_plans():
    first, again, other = plan(seed=3), plan(seed=3), plan(seed=4)
    np.testing.assert_array_equal([p.poke for p in first], [p.poke for p in again])
    assert (first[0].poke != other[0].poke).any()


def test_without_points_that_must_stay():
    best = plan(stay=[])[0]
    assert best.mean.shape == (1, 2)
    assert best.probability[0] > 0.9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points": []}, "points is empty"),
        ({"points": [[1.0, 2.0, 3.0]]}, r"points has shape \(1, 3\): must be \[n, 2\]"),
        ({"goals": [[1.0, 2.0]] * 2}, "goals has 2 rows: must have 1, as points"),
        ({"goals": [[np.nan, 2.0]]}, r"goals is \[nan  2.\]: must be finite"),
        ({"stay": [[np.inf, 2.0]]}, "stay is .*: must be finite"),
        ({"touchable": ~EVERYWHERE}, "touchable is empty"),
        ({"touchable": np.ones((2, 2, 2), bool)}, r"touchable has shape \(2, 2, 2\): a mask"),
        ({"touchable": [[0, 0], [9, 9]]}, "touchable has 2 corners: a polygon must have at least"),
        ({"touchable": [[0, 0, 1]] * 3}, "must be a bool mask .* or a polygon"),
        ({"touchable": [[-9, -9], [-5, -9], [-5, -5]]}, "touchable is empty"),
        ({"reach": 0.0}, "reach is 0.0: must be finite and above 0"),
        ({"tolerance": -1.0}, "tolerance is -1.0"),
        ({"stay_tolerance": np.nan}, "stay_tolerance is nan"),
        ({"plans": 0}, "plans is 0: must be at least 1"),
        ({"rounds": 0}, "rounds is 0"),
        ({"candidates": 0}, "candidates is 0"),
    ],
)
def test_what_cannot_be_planned_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        plan(**changes)


def test_with_the_embedded_weights():
    """On noise, which shows nothing, a plan is still what the predictor says of its poke."""
    predictor = Predictor.from_checkpoint("embedded", device="cpu")
    image = np.random.default_rng(0).integers(0, 255, (160, 160, 3), np.uint8)
    context = predictor.embed(image)
    ask = functools.partial(predictor.evaluate, context)
    arguments = {"touchable": np.ones((160, 160), bool), "candidates": 32, "rounds": 2}
    points, stay = np.array([[80.0, 80.0]]), np.array([[20.0, 20.0]])
    [best, *_] = plan(evaluate=ask, points=points, goals=[[12.0, 0.0]], stay=stay, **arguments)
    motion = predictor.predict(context, best.poke[None], np.vstack([points, stay]))
    np.testing.assert_allclose(best.mean, motion.mean, atol=1e-4)
    np.testing.assert_allclose(best.covariance, motion.covariance, rtol=1e-3, atol=1e-4)
    with pytest.raises(ValueError, match="must lie in"):
        plan(evaluate=ask, points=[[200.0, 80.0]], goals=[[12.0, 0.0]], stay=stay, **arguments)
