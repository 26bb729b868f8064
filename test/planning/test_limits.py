# SPDX-License-Identifier: Apache-2.0
"""Limits on pokes are kept to, and what is impossible is called infeasible."""

from __future__ import annotations

import numpy as np
import pytest
from bar_world import EVERYWHERE, GOAL, PIVOT, on_bar, plan, turned

from fpt_ros.planning.checks import inside


def test_a_constraint_is_obeyed():
    """An arm that can only push from above, and not right of 120."""

    def from_above(pokes):
        assert pokes.ndim == 3 and pokes.shape[1:] == (1, 4)
        return (pokes[:, 0, 3] > 0) & (pokes[:, 0, 0] < 120)

    for found in plan(constraint=from_above, plans=4):
        assert found.poke[0] < 120 and found.poke[3] > 0
    assert turned(plan(constraint=from_above)[0].poke) == pytest.approx(GOAL[1], abs=3)


@pytest.mark.parametrize("ends", ["box", "mask"])
def test_pokes_end_where_they_may(ends):
    """Only in a window to the left, where the lever is short."""
    window = np.zeros((200, 200), bool)
    window[90:140, 60:101] = True
    corners = [[60, 90], [100, 90], [100, 139], [60, 139]]
    plans = plan(ends=corners if ends == "box" else window, plans=3)
    for found in plans:
        assert inside(window, found.poke[:2] + found.poke[2:])
    assert on_bar(plans[0].poke[:2])
    assert turned(plans[0].poke) == pytest.approx(GOAL[1], abs=3)


def test_no_poke_is_shorter_than_allowed():
    plans = plan(shortest=25.0)
    assert all(25 - 1e-6 <= np.hypot(*found.poke[2:]) <= 60 for found in plans)
    assert turned(plans[0].poke) == pytest.approx(GOAL[1], abs=3)


def test_what_can_be_done_is_feasible():
    best = plan()[0]
    assert best.feasible and best.reason == ""


def test_where_nothing_that_may_be_touched_moves_the_plan_is_infeasible():
    beside = EVERYWHERE.copy()
    beside[89:112] = False
    best = plan(touchable=beside)[0]
    assert not best.feasible
    assert "the poked place would move with probability 0.0" in best.reason


def test_a_goal_beyond_the_reach_is_infeasible():
    far_out = np.zeros((200, 200), bool)
    far_out[:, 150:] = True
    best = plan(touchable=far_out, reach=5.0)[0]
    assert not best.feasible
    assert "the point at (180, 100) reaches its goal with probability 0.0" in best.reason


def test_a_point_that_cannot_stay_makes_it_infeasible():
    best = plan(stay=[[120.0, 100.0]], tolerance=3.0)[0]
    assert not best.feasible
    assert best.probability.min() < 0.05


def test_limits_that_forbid_all_pokes_give_a_plan_that_cannot_be_done():
    [best] = plan(constraint=lambda pokes: np.zeros(len(pokes), bool))
    assert not best.feasible
    assert "no poke was found" in best.reason
    assert np.isnan(best.poke).all() and (best.probability == 0).all()
    assert best.mean.shape == (3, 2) and best.covariance.shape == (3, 2, 2)


def test_such_a_plan_is_no_start_for_others():
    impossible = plan(constraint=lambda pokes: np.zeros(len(pokes), bool))
    assert on_bar(plan(warm_start=impossible)[0].poke[:2])


def test_the_pivot_is_not_poked():
    assert plan(plans=1)[0].poke[0] > PIVOT[0] + 5
