from __future__ import annotations

import numpy as np
import pytest

from fpt_ros.training.metrics import (
    Cases,
    baselines,
    best_sigma,
    best_threshold,
    errors,
    fading_poke,
    make_cases,
    mean_iou,
    shuffle_pictures,
)


@pytest.fixture
def cases() -> Cases:
    """One picture, four points: two on the poked body, one on another moving one, one still."""
    return Cases(
        images=np.zeros((1, 8, 8, 3), np.uint8),
        points=np.array([[[0.1, 0.1], [0.2, 0.1], [0.5, 0.1], [0.9, 0.1]]], np.float32),
        flow=np.array([[[0.1, 0.0], [0.1, 0.0], [0.0, 0.2], [0.0, 0.0]]], np.float32),
        bodies=np.array([[1, 1, 2, 0]], np.int32),
        pokes=np.array([[0, 1, 0, 1]]),
        uniform=2,
    )


def test_masks(cases):
    np.testing.assert_array_equal(cases.same_body, [[False, True, False, False]])
    np.testing.assert_array_equal(cases.moving, [[True, True, True, False]])
    np.testing.assert_allclose(cases.distance, [[0, 0.1, 0.4, 0.8]], atol=1e-6)


def test_errors_by_hand(cases):
    predicted = np.array([[[9.0, 9.0], [0.1, 0.03], [9.0, 9.0], [0.0, 0.05]]])
    found = errors(cases, predicted)
    assert found == pytest.approx({"same_body": 0.03, "static": 0.05, "mean": 0.04}, abs=1e-6)


def test_baselines_by_hand(cases):
    found = {name: errors(cases, f(cases)) for name, f in baselines(sigma=0.1).items()}
    assert found["nothing moves"]["same_body"] == pytest.approx(0.1)
    assert found["nothing moves"]["static"] == 0
    assert found["all moves like the poke"]["same_body"] == pytest.approx(0, abs=1e-7)
    assert found["all moves like the poke"]["static"] == pytest.approx(0.1)
    faded = 0.1 * (1 - np.exp(-0.5))
    assert found["poke fading with distance"]["same_body"] == pytest.approx(faded, rel=1e-5)


def test_iou_by_hand(cases):
    assert mean_iou(cases, np.array([[True, True, False, True]])) == pytest.approx(2 / 4)
    assert mean_iou(cases, np.zeros((1, 4), bool)) == 0
    assert mean_iou(cases, cases.moving) == 1


def test_the_best_threshold_separates_what_can_be_separated(cases):
    threshold, iou = best_threshold(cases, np.array([[0.9, 0.8, 0.7, 0.1]]))
    assert iou == 1 and 0.1 <= threshold < 0.7


def test_the_best_sigma_is_the_best_on_a_fine_grid(cases):
    sigma = best_sigma(cases)
    best = errors(cases, fading_poke(cases, sigma))["mean"]
    for other in np.linspace(0.05, 0.6, 40):
        assert best <= errors(cases, fading_poke(cases, other))["mean"] + 1e-3


def test_cases_poke_moving_points_of_one_body(toy_scenes):
    cases = make_cases(toy_scenes)
    rows = np.arange(len(toy_scenes))[:, None]
    assert cases.moving[rows, cases.pokes[:, :1]].all()
    poked = cases.bodies[rows, cases.pokes]
    assert (poked == poked[:, :1]).all()
    assert (make_cases(toy_scenes).pokes == cases.pokes).all()


@pytest.mark.parametrize("count", [2, 5, 8])
def test_shuffling_gives_every_case_another_picture(count):
    order = shuffle_pictures(count)
    assert sorted(order) == list(range(count))
    assert (order != np.arange(count)).all()
