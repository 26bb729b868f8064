# SPDX-License-Identifier: Apache-2.0
"""The moving part of any picture, from a bounded number of points."""

import numpy as np
import pytest
import torch
from tiny_models import POKES, RefuseToWait

from fpt_ros.inference.moving import MOVING
from fpt_ros.inference.segmentation import MOST_POINTS, _interpolate, grid_lines
from fpt_ros.inference.view import FITS, View, grid_points

SIZES = [
    (640, 480), (448, 448), (4096, 128), (128, 4096), (10_000, 10), (2048, 64), (60_000, 1), (1, 1),
    (3, 5), (31, 50),
]  # fmt: skip


def test_segment_finds_what_a_poke_changes_at_every_pixel(predictor, context, embedded):
    part = predictor.segment(context, POKES[:1])
    assert part.divergence.shape == part.moves.shape == (480, 640)
    with pytest.raises(ValueError, match="pokes is empty"):
        predictor.segment(context, np.zeros((0, 4)))
    # A trained model and a red block on grey. With 64 cells of 7 pixels nothing is interpolated at
    # the cells' centres.
    predictor = embedded
    picture = np.full((448, 448, 3), 120, np.uint8)
    picture[128:320, 128:320] = 180, 40, 30
    context = predictor.embed(picture)
    poke, centres = [[220, 220, 40, 0]], np.array([[220, 220], [297, 199], [3, 3], [444, 24]])
    part = predictor.segment(context, poke)
    assert part.divergence.dtype == np.float32
    assert (part.divergence >= 0).all()
    poked, unpoked = (predictor.predict(context, p, centres) for p in (poke, []))
    exact = poked.kl_divergence(unpoked, 50_000, torch.Generator().manual_seed(1)).numpy()
    x, y = centres.T
    np.testing.assert_allclose(part.divergence[y, x], exact, rtol=0.2, atol=0.05)
    likely = 1 - poked.probability_within(torch.zeros(2), MOVING * 448).numpy() > 0.5
    by_the_rule = (exact > predictor.motion_threshold) & likely
    assert part.moves[y, x].tolist() == by_the_rule.tolist() == [True, True, False, False]
    assert not part.moves[part.divergence <= predictor.motion_threshold].any()


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("most", [MOST_POINTS, 10**6, 100, 7, 1])
def test_the_number_of_points_is_bounded_for_any_shape(fit, size, most):
    x, y = grid_lines(View(*size, fit), most)
    assert 1 <= len(x) * len(y) <= min(most, MOST_POINTS)
    for lines, length in ((x, size[0]), (y, size[1])):
        assert lines[0] > -0.5 and lines[-1] < length - 0.5
        assert (np.diff(lines) >= 1).all()  # never more than the pixels


def test_a_square_picture_has_a_grid_of_equal_cells():
    x, y = grid_lines(View(448, 448))
    points = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    np.testing.assert_allclose(points, grid_points(448, 448, 64, 64))


@pytest.mark.parametrize("size", [(4096, 128), (10_000, 200), (640, 480)])
def test_most_points_lie_where_the_model_sees(size):
    view = View(*size)
    x, y = grid_lines(view)
    seen = (x > view.corner[0]) & (x < view.corner[0] + view.sides[0])
    assert seen.sum() >= 50 and len(y) >= 50
    assert np.diff(x[seen]).max() == pytest.approx(np.diff(y).max(), rel=0.05)


def test_interpolation_is_linear_between_lines_and_constant_beyond():
    lines = np.array([1.0, 2.0, 6.0])
    values = torch.tensor([[10.0, 20.0, 40.0]])
    expected = [10.0, 10.0, 20.0, 25.0, 30.0, 35.0, 40.0, 40.0]
    assert _interpolate(values, lines, 8, 1)[0].tolist() == expected
    assert _interpolate(values.T, lines, 8, 0)[:, 0].tolist() == expected


@pytest.fixture
def asked(predictor, monkeypatch):
    """For each call of the model, its pokes and its points."""
    calls = []
    whole = predictor.model.poke_and_query

    def counted(poke_pos, poke_flow, query_pos, *arguments, **named):
        calls.append((poke_pos.shape[1], query_pos.shape[1]))
        return whole(poke_pos, poke_flow, query_pos, *arguments, **named)

    monkeypatch.setattr(predictor.model, "poke_and_query", counted)
    return calls


def test_a_thin_picture_costs_no_more_than_a_square_one(predictor, asked):
    context = predictor.embed(np.zeros((64, 2048, 3), np.uint8))
    part = predictor.segment(context, [[1024, 32, 5, 0]])
    assert part.divergence.shape == part.moves.shape == (64, 2048)
    assert np.isfinite(part.divergence).all()
    assert sum(points for _, points in asked) <= 2 * MOST_POINTS


def test_max_points_is_obeyed(predictor, context, asked):
    part = predictor.segment(context, POKES, max_points=50)
    assert part.moves.shape == (480, 640)
    assert sum(points for pokes, points in asked if pokes) <= 50
    with pytest.raises(ValueError, match="max_points is 0: must be at least 1"):
        predictor.segment(context, POKES, max_points=0)


def test_the_field_without_pokes_is_asked_once_for_each_way_of_the_camera(predictor, image, asked):
    context = predictor.embed(image)
    bytes_before = context.nbytes
    first = predictor.segment(context, POKES, max_points=100)
    assert context.nbytes > bytes_before
    number = len(asked)
    again = predictor.segment(context, POKES, max_points=100)
    np.testing.assert_array_equal(first.divergence, again.divergence)
    assert [pokes for pokes, _ in asked[number:]] == [2]
    del asked[:]
    predictor.segment(context, POKES, camera_moving=True, max_points=100)
    predictor.segment(context, POKES + 1, camera_moving=True, max_points=100)
    predictor.segment(context, POKES, max_points=100)
    assert [pokes for pokes, _ in asked] == [0, 2, 2, 2]
    del asked[:]
    predictor.segment(context, POKES, max_points=64)  # another grid
    assert [pokes for pokes, _ in asked] == [0, 2]


def test_no_step_but_the_last_looks_at_a_value(predictor, image):
    context = predictor.embed(image)
    steps = predictor.segment_steps(context, POKES, max_points=2000)
    with RefuseToWait():
        for _ in range(4):  # two blocks without pokes, two with
            next(steps)
