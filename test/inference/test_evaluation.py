# SPDX-License-Identifier: Apache-2.0
"""Many candidates against goals, in steps of bounded memory that wait for nothing."""

import gc

import numpy as np
import pytest
import torch
from tiny_models import POINTS, POKES, LargestTensor, RefuseToWait, random_points, random_pokes


def test_evaluate_equals_single_predictions(predictor, context):
    candidates = [POKES, POKES[:1], POKES[1:], np.zeros((0, 4))]
    goals = np.array([[10.0, -5.0], [0.0, 0.0], [3.0, 3.0]])
    result = predictor.evaluate(context, candidates, POINTS, goals, tolerance=8.0)
    assert result.log_likelihood.shape == (4, 3)
    for i, pokes in enumerate(candidates):
        single = predictor.predict(context, pokes, POINTS)
        expected = single.log_prob(torch.from_numpy(goals)).numpy()
        np.testing.assert_allclose(result.log_likelihood[i], expected, atol=1e-4)
        flow = single.sample(50_000, torch.Generator().manual_seed(0)).numpy() - goals
        distance = np.linalg.norm(flow, axis=-1)
        np.testing.assert_allclose(result.probability[i], (distance <= 8).mean(0), atol=0.01)
        np.testing.assert_allclose(result.expected_error[i], distance.mean(0), rtol=0.02)
    assert result.best == int(np.argmax(result.probability.mean(1)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"candidates": []}, "0 candidates"),
        ({"points": np.zeros((0, 2)), "goals": np.zeros((0, 2))}, "0 points"),
        ({"candidates": [POKES, [[-5, 0, 1, 1]]]}, r"candidates\[1\].pokes\[0\].x is -5.0"),
        ({"goals": np.zeros((2, 2))}, r"goals have shape \(2, 2\)"),
        ({"tolerance": -1.0}, "tolerance is -1.0"),
    ],
)
def test_evaluate_names_what_is_wrong(predictor, context, change, message):
    request = {
        "candidates": [POKES], "points": POINTS, "goals": np.zeros((3, 2)), "tolerance": 1.0,
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        predictor.evaluate(context, **request | change)


@pytest.mark.parametrize(
    ("candidates", "pokes", "points"), [(200, 3, 16), (3, 1000, 200), (2, 1, 4000)]
)
def test_memory_is_bounded(guessing, image, candidates, pokes, points):
    context = guessing.embed(image)
    sets = [random_pokes(pokes, seed) for seed in range(candidates)]
    at, goals = random_points(points), np.zeros((points, 2))
    with LargestTensor() as largest:
        found = guessing.evaluate(context, sets, at, goals, 5.0, return_motions=False)
    assert found.probability.shape == (candidates, points)
    assert largest.numel < 8e6


def test_candidates_of_any_numbers_of_pokes_keep_their_places(guessing, image, monkeypatch):
    context, points = guessing.embed(image), random_points(30)
    sets = [random_pokes(size, seed) for seed, size in enumerate((3, 0, 1, 3, 2, 1, 0, 3))]
    goals = np.random.default_rng(5).normal(0, 10, (30, 2))
    whole = guessing.evaluate(context, sets, points, goals, 5.0)
    monkeypatch.setattr("fpt_ros.inference.blocks.PAIRS_AT_ONCE", 50)
    parts = guessing.evaluate(context, sets, points, goals, 5.0)
    for name in ("log_likelihood", "probability", "expected_error"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-3, atol=1e-5)
    for pokes, motion, error in zip(sets, parts.motions, parts.expected_error, strict=True):
        alone = guessing.predict(context, pokes, points)
        torch.testing.assert_close(motion.mean, alone.mean, atol=1e-3, rtol=0)
        exact = alone.expected_distance(torch.from_numpy(goals))
        np.testing.assert_allclose(error, exact, rtol=1e-3)


@pytest.mark.parametrize("name", ["predictor", "guessing"])
def test_no_step_looks_at_a_value(name, image, request):
    """On a GPU, the host would wait there for all that it has asked for so far."""
    predictor = request.getfixturevalue(name)
    context = predictor.embed(image)
    goals = np.zeros_like(POINTS)
    steps = predictor.evaluate_steps(context, [POKES, POKES[:1], []], POINTS, goals, 5.0)
    with RefuseToWait():
        for _ in range(3):
            next(steps)
    with pytest.raises(StopIteration):
        next(steps)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_is_waited_for_only_in_the_end(guessing, image):
    from tiny_models import GUESSING, random_model

    from fpt_ros import Predictor

    predictor = Predictor(random_model(GUESSING).cuda())
    context = predictor.embed(image)

    def run():
        steps = predictor.evaluate_steps(
            context, [POKES, POKES[:1]], POINTS, np.zeros_like(POINTS), 5.0
        )
        for _ in range(2):
            next(steps)

    run()  # what runs only the first time
    torch.cuda.set_sync_debug_mode("error")
    try:
        run()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_an_evaluation_that_waits_for_its_turn_holds_little(predictor, context):
    """Of what it computed on the way it keeps the answer's part."""
    candidates, point = [np.array(POKES)] * 64, POINTS[:1]
    predictor.evaluate(context, candidates, point, np.zeros((1, 2)), 1.0)  # what is kept for good
    gc.collect()
    before = memory_of_tensors()
    waiting = [
        predictor.evaluate_steps(context, candidates, point, np.zeros((1, 2)), 1.0)
        for _ in range(10)
    ]
    for steps in waiting:
        next(steps)
    gc.collect()
    assert (memory_of_tensors() - before) / len(waiting) < 100_000


def memory_of_tensors() -> int:
    """Bytes of all that are alive."""
    tensors = [thing for thing in gc.get_objects() if type(thing) is torch.Tensor]
    storages = {
        t.untyped_storage().data_ptr(): t.untyped_storage()
        for t in tensors
        if t.layout == torch.strided
    }
    return sum(storage.nbytes() for storage in storages.values())
