# SPDX-License-Identifier: Apache-2.0
"""A bar 20 pixels wide on a picture of 600 x 600: it is found whatever the seed and the reach."""

from __future__ import annotations

import numpy as np
import pytest
from bar_world import GOAL, WANTED, on_bar, plan, turned

Y, X = np.mgrid[:600, :600]
FROM_WANTED = np.hypot(X - WANTED[0], Y - WANTED[1])


@pytest.mark.parametrize(("reach", "forbidden"), [(60.0, 0.0), (20.0, 80.0), (6.0, 0.0)])
def test_it_is_found_with_every_seed(reach, forbidden):
    """Also where all of it that may be touched is a third of a thousandth of the picture."""
    for seed in range(30):
        best = plan(touchable=forbidden <= FROM_WANTED, reach=reach, seed=seed, plans=1)[0]
        assert on_bar(best.poke[:2]), seed
        assert abs(turned(best.poke) - GOAL[1]) < 5, seed
        assert best.feasible, seed
        assert np.hypot(*best.poke[2:]) <= reach + 1e-9


def test_a_few_pixels_that_may_be_touched_are_all_looked_at():
    """A mask of three pixels far apart, one of them on the bar."""
    few = np.zeros((600, 600), bool)
    few[[5, 590, 100], [5, 590, 90]] = True
    for seed in range(5):
        best = plan(touchable=few, seed=seed, plans=1)[0]
        np.testing.assert_array_equal(np.round(best.poke[:2]), [90, 100])
        assert turned(best.poke) == pytest.approx(GOAL[1], abs=3)
