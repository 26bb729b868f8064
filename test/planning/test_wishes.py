# SPDX-License-Identifier: Apache-2.0
"""What makes one poke better than another: tolerances, weights, risk, and the caller's cost."""

from __future__ import annotations

import numpy as np
import pytest
from bar_world import PIVOT, STAY, WANTED, evaluator, motions, normals, on_bar, plan, turned

MIDDLE = np.array([110.0, 100.0])  # goes half as far as WANTED
TORN = {"points": [WANTED, MIDDLE], "goals": [[0.0, 28.0]] * 2, "plans": 1}


def test_a_stay_tolerance_matters_to_the_search():
    """Pokes far out move a point that should stay; those near the pivot miss the goal by 2."""

    def either(pokes, points):
        pokes = pokes[:, 0]
        far_out = pokes[:, 0] > MIDDLE[0]
        moved = motions(pokes, points)
        locs = moved.locs[..., 0, :].numpy().copy()
        locs[..., 0] += np.where(far_out[:, None], 3.0 * ~on_bar(points), 2.0 * on_bar(points))
        return normals(locs, moved.scale_tril[..., 0, 0, 0].numpy())

    wide, narrow = (
        plan(evaluate=evaluator(either), stay_tolerance=tolerance, plans=1)[0]
        for tolerance in (20.0, 1.0)
    )
    assert wide.poke[0] > MIDDLE[0] > narrow.poke[0]
    assert wide.probability[1] > 0.99
    assert narrow.probability[1] == pytest.approx(1 - np.exp(-((1 / 0.3) ** 2) / 2), abs=1e-6)


@pytest.mark.parametrize(
    ("wishes", "first", "middle"),
    [
        ({"tolerance": [2.0, 40.0]}, 28, 14),
        ({"tolerance": [40.0, 2.0]}, 56, 28),
        ({"tolerance": 5.0, "weights": [9, 1, 1, 1]}, 28, 14),
        ({"tolerance": 5.0, "weights": [1, 9, 1, 1]}, 56, 28),
    ],
)
def test_points_may_matter_differently(wishes, first, middle):
    """Both cannot have what they want: the one that matters more gets it."""
    best = plan(**TORN, **wishes)[0]
    np.testing.assert_allclose(best.mean[:2, 1], [first, middle], atol=5)


def test_each_point_has_the_probability_of_its_own_tolerance():
    best = plan(**TORN, tolerance=[2.0, 40.0], stay_tolerance=[0.3, 5.0])[0]
    assert best.probability[0] < 0.9
    assert best.probability[1] > 0.999  # though it ends 14 pixels off
    np.testing.assert_allclose(best.probability[2:], [1 - np.exp(-0.5), 1], atol=1e-6)


def test_a_risk_averse_plan_prefers_what_is_sure():
    """Above the middle line the mean is right but unsure; below, sure but 3 pixels off."""

    def two_ways(pokes, points):
        pokes = pokes[:, 0]
        sure = np.broadcast_to(pokes[:, None, 1] > PIVOT[1], (len(pokes), len(points)))
        locs = motions(pokes, points).locs[..., 0, :].numpy().copy()
        locs[..., 0] = 3.0 * sure * on_bar(points)
        return normals(locs, np.where(sure, 0.3, 2.2) * on_bar(points) + 0.1)

    bold, careful = (
        plan(evaluate=evaluator(two_ways), risk=risk, plans=1)[0].poke for risk in (0.0, 1.5)
    )
    assert bold[1] < PIVOT[1] < careful[1]
    assert turned(bold) == pytest.approx(28, abs=2)
    assert turned(careful) == pytest.approx(28, abs=2)


def test_the_caller_s_own_cost_counts():
    """One that grows to the right of the bar's first half."""
    cost = lambda pokes: np.maximum(pokes[:, 0, 0] - 90, 0)  # noqa: E731
    assert plan(plans=1)[0].poke[0] > 95
    assert plan(plans=1, cost=cost)[0].poke[0] < 95


def test_stay_points_alone_do_not_hinder():
    with_stay, without = plan(plans=1)[0], plan(plans=1, stay=[], seed=0)[0]
    assert len(STAY) == len(with_stay.mean) - len(without.mean)
    assert without.probability[0] > 0.9
