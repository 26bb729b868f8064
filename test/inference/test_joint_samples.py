# SPDX-License-Identifier: Apache-2.0
"""Joint samples: repeatable, each in an order of its own, of bounded memory."""

import numpy as np
import pytest
import torch
from scipy import stats
from tiny_models import POINTS, POKES, LargestTensor, RefuseToWait, random_points, random_pokes

from fpt_ros.inference.sampling import sampling_steps
from fpt_ros.inference.steps import finish


def test_samples_repeat_and_a_single_point_follows_its_mixture(predictor, context):
    first = predictor.sample(context, POKES, POINTS, samples=4, seed=1)
    assert first.shape == (4, 3, 2)
    np.testing.assert_array_equal(first, predictor.sample(context, POKES, POINTS, 4, seed=1))
    assert not np.array_equal(first, predictor.sample(context, POKES, POINTS, 4, seed=2))
    flow = predictor.sample(context, POKES, POINTS[:1], samples=2000, seed=0)[:, 0]
    mixture = predictor.predict(context, POKES, POINTS[:1])
    for axis in range(2):
        exact = mixture.sample(20_000, torch.Generator().manual_seed(3))[:, 0, axis]
        assert stats.ks_2samp(flow[:, axis], exact.numpy()).pvalue > 1e-3


def test_samples_are_the_same_however_many_are_drawn_at_once(predictor, context, monkeypatch):
    together = predictor.sample(context, POKES, POINTS, samples=5, seed=3)
    monkeypatch.setattr("fpt_ros.inference.sampling.TOKENS_AT_ONCE", 2 * (len(POKES) + len(POINTS)))
    steps = predictor.sample_steps(context, POKES, POINTS, samples=5, seed=3)
    counts = []
    while True:
        try:
            counts.append(next(steps))
        except StopIteration as end:
            np.testing.assert_allclose(end.value, together, atol=1e-2)
            break
        predictor.predict(context, POKES, POINTS)  # what else runs changes nothing
    assert counts == [2] * 3 + [2] * 3 + [1] * 3


def test_means_of_many_samples_do_not_depend_on_the_seed(embedded, image):
    """One order for all samples of a seed is an error that all of them share."""
    context, points = embedded.embed(image), random_points(4)
    each = [embedded.sample(context, POKES[:1], points, 128, seed=seed) for seed in range(6)]
    between = np.var([flows.mean(0) for flows in each], axis=0, ddof=1)
    expected = np.mean([flows.var(0) for flows in each], axis=0) / 128
    assert (between / expected).mean() < 2.5


def test_each_sample_has_an_order_of_its_own_and_points_keep_their_places():
    points, orders = torch.from_numpy(random_points(5)), []

    def begin(pokes, in_turn, draw):
        """Every point "moves" by its own place."""
        orders.extend(in_turn.tolist())
        yield from in_turn.unbind(1)

    unit = np.array([2.0, 3.0], np.float32)
    steps = sampling_steps(begin, torch.zeros(0, 4), points, 50, 0, unit, torch.device("cpu"))
    expected = np.broadcast_to(points.numpy() * unit, (50, 5, 2))
    np.testing.assert_allclose(finish(steps), expected, rtol=1e-6)
    assert len({str(order) for order in orders}) > 20


@pytest.mark.parametrize(("pokes", "points", "samples"), [(1000, 3, 40), (2, 40, 3000)])
def test_memory_is_bounded(guessing, image, pokes, points, samples):
    context = guessing.embed(image)
    steps = guessing.sample_steps(
        context, random_pokes(pokes), random_points(points), samples, seed=0
    )
    with LargestTensor() as largest:
        for _ in range(points):
            next(steps)
    assert largest.numel < 8e6


def test_all_numbers_are_drawn_beforehand(predictor, context, monkeypatch):
    steps = predictor.sample_steps(context, POKES, POINTS, 2, seed=0)
    next(steps)

    def refused(*arguments, **named):
        raise AssertionError("drawn in a step")

    for name in ("rand", "randn", "randperm"):
        monkeypatch.setattr(torch, name, refused)
    assert len(list(steps)) == len(POINTS) - 1


@pytest.mark.parametrize("name", ["predictor", "guessing"])
def test_no_step_looks_at_a_value(name, image, request):
    predictor = request.getfixturevalue(name)
    context = predictor.embed(image)
    steps = predictor.sample_steps(context, POKES, POINTS, 4, seed=0)
    with RefuseToWait():
        for _ in POINTS:
            next(steps)
