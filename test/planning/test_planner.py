# SPDX-License-Identifier: Apache-2.0
"""Planned pokes: the known optimum of a simple world, and the embedded weights."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from bar_world import EVERYWHERE, GOAL, WANTED, Counted, motions, on_bar, plan, turned

from fpt_ros.inference.predictor import Predictor


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


def test_a_place_that_would_not_move_is_not_poked():
    """The world believes in pokes beside the bar even more; only the map tells them apart."""
    best = plan()[0]
    assert on_bar(best.poke[:2])
    assert best.moving > 0.99
    beside = best.poke + np.array([0, 30, 0, 0])
    believed = motions(np.stack([best.poke, beside]), WANTED[None]).covariance
    assert believed[1, 0, 0, 0] < believed[0, 0, 0, 0]


def test_no_poke_is_longer_than_the_reach():
    plans = plan(reach=10.0, goals=[[0.0, 300.0]])
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


def test_one_question_a_round():
    asked = Counted()
    plan(evaluate=asked, rounds=3, candidates=20, plans=2, stay_tolerance=2.0, min_gain=0)
    candidates = [count for count, _ in asked.questions]
    assert candidates == [1, 1, 40, 20, 20, 20, 1, 2, 2]  # map, rounds, places, plans' tolerances
    assert max(points for _, points in asked.questions) <= 768


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
        ({"tolerance": [1.0, 2.0]}, r"tolerance has shape \(2,\): must be one number or \[1\]"),
        ({"weights": [1.0, -1.0, 1.0]}, "weights is -1.0: must be finite and at least 0"),
        ({"min_gain": np.nan}, "min_gain is nan: must be finite and at least 0"),
        ({"risk": -1.0}, "risk is -1.0: must be finite and at least 0"),
        ({"ends": ~EVERYWHERE}, "ends is empty"),
        ({"shortest": 70.0}, "shortest is 70.0: must be at most reach, 60.0"),
        ({"cost": lambda pokes: np.zeros(3)}, r"cost gave shape \(3,\): must be \[96\]"),
        ({"constraint": lambda pokes: True}, r"constraint gave shape \(\): must be \[192\]"),
        ({"pokes": 0}, "pokes is 0"),
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
