# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from fpt_ros.data.points import MOVING
from fpt_ros.eval.baselines import (
    SIGMAS,
    Baseline,
    body_like_poke,
    choose_baselines,
    faded,
    likeliest_shares,
)
from fpt_ros.eval.cases import Case, Cases
from fpt_ros.eval.choices import best_threshold
from fpt_ros.eval.figures import (
    calibration_curve,
    case_means,
    correlation,
    coverage,
    distribution_figures,
    flow_errors,
    mean,
    mean_iou,
    sample_errors,
)
from fpt_ros.eval.predictions import Predictions, describe
from fpt_ros.model import MotionMixture


def case(points, flow, moving, same_body, pokes, weight=None, noise=0.0) -> Case:
    points, flow = np.asarray(points, np.float32), np.asarray(flow, np.float32)
    weight = np.ones(len(points)) if weight is None else np.asarray(weight)
    return Case(
        "clip", np.zeros((8, 8, 3), np.uint8), True, np.asarray(pokes, np.float32), points, flow,
        np.full(flow.shape, noise, np.float32), np.asarray(moving), np.asarray(same_body),
        weight.astype(np.float32),
    )  # fmt: skip


@pytest.fixture
def two() -> Cases:
    """Poked at (0.1, 0.1): a point of the body, another that moves, one that stays; and a case of
    one point that stays."""
    poke = [[0.1, 0.1, 0.1, 0.0]] * 4
    first = case(
        [[0.2, 0.1], [0.5, 0.1], [0.9, 0.1]], [[0.1, 0], [0, 0.2], [0, 0]],
        [True, True, False], [True, False, False], poke, weight=[1, 0.5, 0.5],
    )  # fmt: skip
    return Cases([first, case([[0.5, 0.5]], [[0, 0]], [False], [False], poke)])


def flat(mixture: MotionMixture, flow, noisy=None) -> Predictions:
    """What is predicted where every point has `mixture`; the divergence is not looked at."""
    noisy = flow if noisy is None else noisy
    found = describe(mixture, *map(torch.from_numpy, (flow, noisy)), torch.Generator())
    return Predictions(**{k: v.numpy() for k, v in found.items()}, divergence=np.zeros(len(flow)))


def made_up(points: int, spread: float = 1.0) -> MotionMixture:
    """Three normals, of different shapes, weights and places; `spread` widens them."""
    rng = np.random.default_rng(0)
    tril = np.tril(rng.normal(0, 0.02, (points, 3, 2, 2)))
    tril[..., [0, 1], [0, 1]] = rng.uniform(0.005, 0.05, (points, 3, 2))
    logits = torch.from_numpy(rng.normal(0, 1, (points, 3))).log_softmax(-1)
    locs = torch.from_numpy(rng.normal(0, 0.1, (points, 3, 2)))
    return MotionMixture(logits, locs, torch.from_numpy(tril) * spread)


def one_case(flow: np.ndarray) -> Cases:
    n = len(flow)
    points = np.random.default_rng(1).uniform(0, 1, (n, 2))
    everywhere = np.ones(n, bool)
    return Cases([case(points, flow, everywhere, everywhere, np.zeros((4, 4)))])


def test_means_are_over_cases_that_have_any(two):
    values = np.array([1.0, 2.0, 3.0, 10.0])
    np.testing.assert_allclose(case_means(two, values, np.array([1, 1, 2, 0.0])), [9 / 4, np.nan])
    assert mean(two, values, np.ones(4)) == pytest.approx((2 + 10) / 2)
    assert math.isnan(mean(two, values, np.zeros(4)))


def test_flow_errors_by_hand(two):
    predicted = np.array([[0.1, 0.03], [0, 0.1], [0, 0.05], [0.01, 0]])
    expected = {"same_body": 0.03, "moving": 0.065, "static": 0.03, "mean": 0.03}
    found = flow_errors(two, predicted)
    assert math.isnan(found.pop("mean_standard_error"))  # one case has both kinds of points
    assert found == pytest.approx(expected, abs=1e-6)
    again = Cases([two.each[0], two.each[0]])
    twice = flow_errors(again, np.concatenate([predicted[:3], [[0.1, 0.01], [0, 0], [0, 0.01]]]))
    assert twice["mean_standard_error"] == pytest.approx((0.04 - 0.01) / 2)


def test_where_bodies_are_unknown_what_moves_takes_the_bodys_place(two):
    for one in two.each:
        one.same_body[:] = False
    found = flow_errors(two, np.zeros((4, 2)))
    assert math.isnan(found["same_body"])
    assert found["mean"] == pytest.approx(found["moving"] / 2) == pytest.approx(0.075)


def test_iou_by_hand(two):
    # The second case does not count: nothing but the pokes moves in it.
    assert mean_iou(two, np.array([True, False, True, False])) == pytest.approx(1 / 3)
    assert mean_iou(two, np.array([True, True, False, True])) == 1
    assert math.isnan(mean_iou(Cases(two.each[1:]), np.array([True])))


def test_sample_errors_by_hand(two):
    errors = np.array([[0.05, 0.2], [0.005, 0.02], [0.0005, 0.0005], [0.2, 0.0]])
    found = sample_errors(two, errors)
    assert found["epe_sample"] == pytest.approx(
        ((0.125 + 0.5 * 0.0125 + 0.5 * 0.0005) / 2 + 0.1) / 2
    )
    assert found["epe_best_of_2"] == pytest.approx((0.05 + 0.5 * 0.005 + 0.5 * 0.0005) / 2 / 2)
    assert found["pck_0.1"] == pytest.approx(((0.5 + 0.5 + 0.5) / 2 + 0.5) / 2)
    assert found["pck_0.01"] == pytest.approx(((0 + 0.25 + 0.5) / 2 + 0.5) / 2)
    assert found["pck_0.001"] == pytest.approx(((0 + 0 + 0.5) / 2 + 0.5) / 2)


def test_regions_cover_what_they_say_where_the_distribution_is_true():
    mixture = made_up(4000)
    flow = mixture.sample(1, torch.Generator().manual_seed(3))[0].numpy()
    cases = one_case(flow)
    found = coverage(cases, flat(mixture, flow).level)
    assert found["all"]["50%"] == pytest.approx(0.5, abs=0.025)
    assert found["all"]["90%"] == pytest.approx(0.9, abs=0.015)
    curve = calibration_curve(cases, flat(mixture, flow).level)["moving"]
    np.testing.assert_allclose(curve, np.arange(1, 20) / 20, atol=0.025)


def test_regions_cover_too_little_where_the_distribution_is_too_narrow_and_the_reverse():
    flow = made_up(2000).sample(1, torch.Generator().manual_seed(3))[0].numpy()
    cases = one_case(flow)
    narrow, wide = (flat(made_up(2000, spread), flow).level for spread in (0.4, 2.5))
    assert coverage(cases, narrow)["same_body"]["90%"] < 0.6
    assert coverage(cases, wide)["same_body"]["50%"] > 0.7


def test_figures_of_a_normal_are_the_analytic_ones():
    sigma, n = 0.02, 8000
    mixture = MotionMixture(
        torch.zeros(n, 1).double(), torch.zeros(n, 1, 2).double(),
        (sigma * torch.eye(2)).double().expand(n, 1, 2, 2),
    )  # fmt: skip
    flow = mixture.sample(1, torch.Generator().manual_seed(5))[0].numpy()
    found = distribution_figures(one_case(flow), flat(mixture, flow))
    assert found["nll"] == pytest.approx(math.log(2 * math.pi * math.e * sigma**2), abs=0.03)
    assert found["epe_mean"] == pytest.approx(sigma * math.sqrt(math.pi / 2), rel=0.02)
    # Of the difference of two such displacements.
    assert found["epe_sample"] == pytest.approx(sigma * math.sqrt(math.pi), rel=0.02)
    assert found["pck_0.01"] == pytest.approx(1 - math.exp(-(0.01**2) / (4 * sigma**2)), abs=0.005)
    assert found["epe_best_of_5"] < 0.6 * found["epe_sample"]
    assert found["believed_moving"] == pytest.approx(
        math.exp(-(MOVING**2) / (2 * sigma**2)), rel=0.01
    )
    assert found["truly_moving"] == pytest.approx(found["believed_moving"], abs=0.02)


def test_what_truly_moves_is_told_from_the_flow_with_noise():
    still = np.zeros((1, 2), np.float32)
    for noise in (0.0, MOVING):  # in x and y
        here = case([[0.5, 0.5]], still, [False], [False], np.zeros((4, 4)), noise=noise)
        found = distribution_figures(Cases([here]), flat(made_up(1), still))
        assert found["truly_moving"] == (noise > 0)


def test_the_likelihood_is_that_of_the_flow_with_noise(two):
    mixture = made_up(4)
    noisy = two.flow + np.float32(0.01)
    found = flat(mixture, two.flow, noisy)
    np.testing.assert_allclose(found.log_prob, mixture.log_prob(torch.from_numpy(noisy)), rtol=1e-6)
    exact = (found.sample_errors - flat(mixture, two.flow).sample_errors) ** 2
    assert exact.max() < 1e-12  # errors are from the flow itself


def test_correlation():
    x = np.linspace(0.1, 1, 50)
    assert correlation(x, x**5)["spearman"] == pytest.approx(1)
    assert correlation(x, x**5)["pearson"] < 0.9
    assert correlation(x, -x)["pearson"] == pytest.approx(-1)
    assert math.isnan(correlation(x, np.zeros(50))["spearman"])
    assert math.isnan(correlation(x[:0], x[:0])["pearson"])


def test_uncertainty_is_compared_over_everything_and_over_what_moves(two):
    # Errors are 0.1 and 0.2 where it moves, and 0 elsewhere.
    predicted = replace(
        flat(made_up(4), two.flow), mean=np.zeros((4, 2)), spread=np.array([0.3, 0.6, 0.7, 0.8])
    )
    found = distribution_figures(two, predicted)["correlation"]
    assert found["moving"]["pearson"] == pytest.approx(1)
    assert found["all"]["pearson"] == pytest.approx(-0.4835, abs=0.001)


def test_baselines_by_hand(two):
    np.testing.assert_array_equal(faded(two, 0.0), np.zeros((4, 2)))
    np.testing.assert_allclose(faded(two, np.inf), [[0.1, 0]] * 4, rtol=1e-6)
    assert faded(two, 0.1)[0, 0] == pytest.approx(0.1 * math.exp(-0.5), rel=1e-4)
    shares = np.zeros(len(SIGMAS))
    shares[3] = 1
    sigma = SIGMAS[3]
    found = Baseline("", 0.0, shares).log_prob(two)
    expected = -(0.1**2) / (2 * sigma**2) - math.log(2 * math.pi * sigma**2)
    assert found[0] == pytest.approx(expected, rel=1e-4)


def test_a_baselines_distribution_is_the_likeliest():
    rng = np.random.default_rng(0)
    width = np.where(rng.random(20000) < 0.3, SIGMAS[7], SIGMAS[2])[:, None]
    cases = one_case(rng.normal(0, 1, (20000, 2)) * width)
    shares = likeliest_shares(cases, np.zeros((20000, 2)))
    assert shares[7] == pytest.approx(0.3, abs=0.03) and shares[2] == pytest.approx(0.7, abs=0.05)
    best = Baseline("", 0.0, shares).log_prob(cases).mean()
    for other in np.eye(len(SIGMAS)):
        mixed = Baseline("", 0.0, 0.9 * shares + 0.1 * other)
        assert best >= mixed.log_prob(cases).mean() - 1e-4


def test_the_body_like_the_poke_by_hand(two):
    np.testing.assert_allclose(body_like_poke(two), [[0.1, 0], [0, 0], [0, 0], [0, 0]], rtol=1e-6)


def test_the_fading_is_the_best_of_all(cases):
    fading = choose_baselines(cases)[2].fading
    best = flow_errors(cases, faded(cases, fading))["mean"]
    for other in np.linspace(0.03, 0.6, 20):
        assert best <= flow_errors(cases, faded(cases, other))["mean"] + 1e-4


def test_the_best_threshold_separates_what_can_be_separated(two):
    threshold = best_threshold(two, np.array([0.9, 0.8, 0.1, 0.2]))
    assert 0.1 <= threshold < 0.8
