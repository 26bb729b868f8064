# SPDX-License-Identifier: Apache-2.0
"""What a picture of a motion shows: nothing where nothing moves, and no haze."""

from __future__ import annotations

import numpy as np
import pytest

from fpt_ros.legible import MAX_ELLIPSES, MAX_POINTS, ellipses_to_show, moving, points_to_show

GRID = (32, 24)
X, Y = np.meshgrid(np.arange(32) * 20 + 9.5, np.arange(24) * 20 + 9.5)
POINTS = np.stack([X, Y], axis=-1).reshape(-1, 2)


def mixture(deviation: float, shift: float, weight: float = 1.0):
    """Weights, means and covariances of one component for each point of the grid."""
    count = len(POINTS)
    covariances = np.tile(np.eye(2) * deviation**2, (count, 1, 1, 1))
    return np.full((count, 1), weight), np.full((count, 1, 2), (shift, 0.0)), covariances


def test_short_displacements_stay_by_length_and_beside_long_ones():
    assert not moving(np.full((5, 2), 1.0)).any()
    assert moving(np.array([[0, 100.0], [0, 16], [0, 14], [0, 1]])).tolist() == [True, True, 0, 0]
    assert moving(np.zeros((0, 2))).shape == (0,)


def test_of_a_grid_only_what_moves_is_shown_so_far_apart_that_it_can_be_told_apart():
    mean = np.where(POINTS[:, :1] < 320, (30.0, 0.0), (0.5, 0.0))
    shown = POINTS[points_to_show(POINTS, mean, GRID, 480)]
    assert len(shown) > 20
    assert shown[:, 0].max() < 320
    apart = np.linalg.norm(shown[:, None] - shown, axis=-1)
    assert apart[apart > 0].min() >= 30
    assert not len(points_to_show(POINTS, np.zeros_like(POINTS), GRID, 480))


def test_the_spacing_grows_with_the_picture():
    mean = np.full_like(POINTS, 30.0)
    shown = [len(points_to_show(POINTS, mean, GRID, height)) for height in (480, 1440)]
    assert shown[0] > 2 * shown[1] > 0


def test_scattered_points_are_all_shown_up_to_those_that_can_be_drawn():
    still = np.zeros((5, 2))
    assert points_to_show(POINTS[:5], still, (0, 0), 480).tolist() == [0, 1, 2, 3, 4]
    mean = np.column_stack([np.arange(len(POINTS)), np.zeros(len(POINTS))])
    shown = points_to_show(POINTS, mean, (0, 0), 480)
    assert shown.tolist() == list(range(len(POINTS) - MAX_POINTS, len(POINTS)))


@pytest.mark.parametrize("deviation", [2.0, 30.0, 200.0])
def test_ellipses_of_a_grid_do_not_pile_up(deviation):
    weights, means, covariances = mixture(deviation, 30.0)
    point, _, opacity = ellipses_to_show(POINTS, weights, means, covariances, apart=True)
    assert 1 <= len(point) <= MAX_ELLIPSES
    gap = np.linalg.norm(POINTS[point][:, None] - POINTS[point], axis=-1)
    assert gap[gap > 0].min(initial=np.inf) >= 2 * deviation  # half of both radii
    assert (opacity <= 1).all()


def test_ellipses_fade_with_probability_and_width():
    def opacity(deviation, weight):
        one = [array[:1] for array in (POINTS, *mixture(deviation, 30.0, weight))]
        return ellipses_to_show(*one, apart=False).opacity.sum()

    assert opacity(5, 0.9) > opacity(5, 0.4) > opacity(5, 0.01) == 0
    assert opacity(5, 0.9) > opacity(40, 0.9) > 0.3


def test_components_that_stay_are_left_out_of_grids_alone():
    staying = [array[:3] for array in (POINTS, *mixture(5.0, 0.5))]
    assert not len(ellipses_to_show(*staying, apart=True).point)
    assert len(ellipses_to_show(*staying, apart=False).point) == 3
