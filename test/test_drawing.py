# SPDX-License-Identifier: Apache-2.0
"""Pictures: what must be where, and that nothing breaks at the borders."""

from __future__ import annotations

import numpy as np
import pytest

from fpt_ros.drawing import (
    direction_colors,
    draw_flow,
    draw_motion,
    ellipse_outlines,
    flow_colors,
)

GREY = np.full((120, 160, 3), 128, np.uint8)
NO_POKES = np.zeros((0, 4))


def one_point(point, mean, variance=4.0, weight=1.0):
    """A mixture of two components at the same place, the first with this weight."""
    weights = np.array([[weight, 1 - weight]])
    means = np.array([[mean, mean]], float)
    return np.array([point], float), weights, means, np.tile(np.eye(2) * variance, (1, 2, 1, 1))


def changed(picture):
    return (picture != GREY).any(axis=-1)


def test_the_image_itself_is_left_alone():
    image = GREY.copy()
    draw_motion(image, np.array([[50, 50, 20, 0]]), *one_point((80, 60), (20, 0)))
    draw_flow(image, np.ones((3, 4, 2)), np.array([[50, 50, 20, 0]]))
    assert (image == GREY).all()


def test_nothing_to_draw_is_the_image():
    empty = (np.zeros((0, 2)), np.zeros((0, 4)), np.zeros((0, 4, 2)), np.zeros((0, 4, 2, 2)))
    assert (draw_motion(GREY, NO_POKES, *empty) == GREY).all()


def test_arrow_goes_from_the_point_to_its_mean():
    picture = changed(draw_motion(GREY, NO_POKES, *one_point((40, 60), (60, 0), variance=1.0)))
    assert picture[60, 40:100].all()
    assert not picture[:45].any() and not picture[76:].any()
    assert not picture[:, :35].any() and not picture[:, 106:].any()


def test_ellipse_reaches_two_standard_deviations():
    picture = changed(draw_motion(GREY, NO_POKES, *one_point((80, 60), (0, 0), variance=100.0)))
    columns = np.flatnonzero(picture.any(axis=0))
    assert (columns[0], columns[-1]) == pytest.approx((60, 100), abs=2)


def test_heavier_components_are_more_opaque():
    def strength(weight):
        points, weights, means, covariances = one_point((80, 60), (0, 0), 100.0, weight)
        means[0, 1] += 1000  # the other component is far outside
        picture = draw_motion(GREY, NO_POKES, points, weights, means, covariances)
        return np.abs(picture[60, 100].astype(int) - 128).sum()

    assert strength(0.9) > strength(0.3) > strength(0.01) == 0


def test_poke_is_white_from_its_ring_to_its_head():
    picture = draw_motion(GREY, np.array([[40, 60, 50, 0]]), *one_point((150, 10), (0, 0)))
    assert (picture[60, 52:84] == 255).all()
    assert (picture[60, 33] == 255).all()


@pytest.mark.parametrize("far", [1e9, -1e9])
def test_what_lies_outside_is_harmless(far):
    draw_motion(GREY, np.array([[0, 0, far, far]]), *one_point((159, 119), (far, far), 1e12))
    assert draw_flow(GREY, np.full((2, 2, 2), far), NO_POKES).shape == GREY.shape


def test_grid_tints_what_moves():
    columns, rows = 16, 12
    x, y = np.meshgrid(np.arange(columns) * 10 + 4.5, np.arange(rows) * 10 + 4.5)
    points = np.stack([x, y], -1).reshape(-1, 2)
    means = np.where(points[:, :1] < 80, (30.0, 0.0), (0.0, 0.0))[:, None]
    picture = draw_motion(
        GREY,
        NO_POKES,
        points,
        np.ones((192, 1)),
        means,
        np.tile(np.eye(2), (192, 1, 1, 1)),
        (columns, rows),
    )
    moved = changed(picture)
    assert moved[:, :75].all()
    assert not moved[:, 125:].any()


def test_colour_is_direction_and_length():
    flow = np.array([[1.0, 0], [0, 1], [-1, 0], [0, -1]])
    colors = direction_colors(flow).astype(int)
    for i in range(4):
        for j in range(i):
            assert np.abs(colors[i] - colors[j]).sum() > 100
    assert (direction_colors(5 * flow) == direction_colors(flow)).all()
    assert (flow_colors(0 * flow, 1.0) == 255).all()
    assert (flow_colors(flow, 1.0) == direction_colors(flow)).all()


def test_flow_picture_shows_direction_where_it_moves():
    flow = np.zeros((12, 16, 2))
    flow[4:8, 8:12, 0] = 10
    picture = draw_flow(GREY, flow, NO_POKES).astype(int)
    red, still = picture[60, 100], picture[10, 100]
    assert red[0] - red[2] > 40
    assert np.ptp(still) < 5


def test_outlines_have_the_covariance():
    covariance = np.array([[[9.0, 4.0], [4.0, 5.0]]])
    outline = ellipse_outlines(np.array([[7.0, -3.0]]), covariance, 64)[0]
    offset = outline - (7.0, -3.0)
    distance = np.einsum("ci,ij,cj->c", offset, np.linalg.inv(covariance[0]), offset)
    np.testing.assert_allclose(distance, 4.0)


@pytest.mark.parametrize(
    "size", [(1, 1), (8, 300), (300, 8), (1, 40), (25, 28), (29, 29), (30, 30)]
)
def test_pictures_of_any_size_are_drawn(size):
    image = np.full((*size, 3), 128, np.uint8)
    corner = np.array([[size[1] - 1.0, size[0] - 1.0, -30.0, 40.0]])
    assert draw_flow(image, np.ones((1, 1, 2)), corner).shape == image.shape
    assert draw_motion(image, corner, *one_point((0, 0), (20, 0)), (1, 1)).shape == image.shape


def test_the_wheel_is_left_out_where_it_has_no_room():
    flow = np.zeros((2, 2, 2))  # without the wheel, nothing but what is left of the image
    assert np.ptp(draw_flow(np.full((28, 200, 3), 128, np.uint8), flow, NO_POKES)) == 0
    assert np.ptp(draw_flow(np.full((29, 200, 3), 128, np.uint8), flow, NO_POKES)) > 0


@pytest.mark.parametrize("grid", [(1, 1), (4, 1), (1, 5), (2, 2)])
def test_a_grid_of_few_points_has_its_ellipses_too(grid):
    count = grid[0] * grid[1]
    x, y = np.meshgrid(60 + 5 * np.arange(grid[0]), 40 + 5 * np.arange(grid[1]))
    points = np.stack([x, y], -1).reshape(-1, 2).astype(float)
    means, covariances = np.full((count, 1, 2), 10.0), np.tile(np.eye(2), (count, 1, 1, 1))
    tinted, drawn = (
        draw_motion(GREY, NO_POKES, points, np.ones((count, 1)), means, spread, grid)
        for spread in (1e-9 * covariances, 100 * covariances)
    )
    assert (tinted != drawn).any()
