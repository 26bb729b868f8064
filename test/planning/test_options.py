# SPDX-License-Identifier: Apache-2.0
"""Several fingers, warm starts, early stops, joint probabilities, gradients."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from bar_world import GOAL, PIVOT, WANTED, Counted, evaluator, normals, plan, turned

from fpt_ros.client.results import Samples
from fpt_ros.inference.predictor import Predictor
from fpt_ros.model import MotionMixture

BUTTONS = np.array([[50.0, 60.0], [150.0, 140.0]])


def two_buttons(pokes, points):
    """Two discs of 12 pixels radius, each drawn by the pokes on it and by no others."""
    near = [np.linalg.norm(pokes[..., :2] - button, axis=-1) < 12 for button in BUTTONS]
    locs = np.zeros((len(pokes), len(points), 2))
    for button, held in zip(BUTTONS, near, strict=True):
        shift = (pokes[..., 2:] * held[..., None]).sum(1) / np.maximum(held.sum(1), 1)[:, None]
        locs[:, np.linalg.norm(points - button, axis=-1) < 12] = shift[:, None]
    return normals(locs, np.full(locs.shape[:2], 0.5))


def test_two_fingers_do_what_one_cannot():
    goals = np.array([[20.0, 0.0], [0.0, -15.0]])
    wishes = {"evaluate": evaluator(two_buttons), "points": BUTTONS, "goals": goals, "plans": 2}
    one, two = plan(**wishes)[0], plan(**wishes, pokes=2)
    assert not one.feasible and one.pokes.shape == (1, 4)
    assert two[0].feasible and two[0].pokes.shape == (2, 4)
    np.testing.assert_allclose(two[0].mean[:2], goals, atol=2.5)
    assert (np.linalg.norm(two[0].pokes[:, :2] - BUTTONS, axis=1) < 12).all()
    assert np.linalg.norm(two[0].pokes - two[1].pokes) > 0.25 * 60


def test_a_constraint_sees_both_fingers():
    """One hand: its fingers are at most 60 pixels apart, so that only one button is in reach."""
    close = lambda pokes: np.linalg.norm(pokes[:, 0, :2] - pokes[:, 1, :2], axis=1) < 60  # noqa: E731
    wishes = {"evaluate": evaluator(two_buttons), "points": BUTTONS, "goals": [[20.0, 0.0]] * 2}
    best = plan(**wishes, pokes=2, constraint=close)[0]
    assert np.linalg.norm(best.pokes[0, :2] - best.pokes[1, :2]) < 60
    assert not best.feasible


def test_a_warm_start_is_where_the_search_begins():
    """With next to no search of its own the new plan is as good as the old one."""
    last = plan(plans=1)
    little = {"plans": 1, "candidates": 2, "rounds": 1, "seed": 5}
    cold, warm = plan(**little)[0], plan(**little, warm_start=last)[0]
    assert cold.score < last[0].score - 0.1
    assert warm.score >= last[0].score - 0.02
    with pytest.raises(ValueError, match=r"warm_start\[0\] has 1 pokes: must have 2"):
        plan(warm_start=last, pokes=2)


def test_a_warm_start_obeys_new_limits():
    last = plan(plans=1)
    assert last[0].poke[0] > 90
    left = plan(warm_start=last, touchable=[[0, 0], [89, 0], [89, 199], [0, 199]])
    assert all(found.poke[0] < 90 for found in left)


def test_an_early_stop_asks_less_and_is_as_good():
    patient, hasty = Counted(), Counted()
    slow = plan(evaluate=patient, rounds=12, min_gain=0.0)[0]
    fast = plan(evaluate=hasty, rounds=12, min_gain=0.05)[0]
    assert len(hasty.questions) < len(patient.questions) - 4
    assert fast.score > slow.score - 0.1


def test_the_joint_probability_is_of_all_points_at_once():
    """Futures in which either the wanted point or a staying one errs, but never both."""

    def sample(pokes, points, samples, *, seed):
        assert pokes.shape == (1, 4) and points.shape == (3, 2) and seed
        futures = np.zeros((samples, 3, 2), np.float32)
        futures[:, 0] = GOAL
        futures[: samples // 2, 0, 1] += 6
        futures[samples // 2 : samples // 2 + samples // 4, 2, 0] = 6
        return futures

    def sampled_over_ros(pokes, points, samples, *, seed):
        futures = sample(pokes, points, samples, seed=seed)
        return Samples(futures, points.astype(np.float32), (0, 0), None)

    assert plan()[0].joint_probability is None
    for source in (sample, sampled_over_ros):
        for found in plan(sample=source):
            assert found.joint_probability == 0.25
            assert found.feasible
    never = lambda pokes, points, samples, *, seed: np.zeros((samples, 3, 2))  # noqa: E731
    assert "at once with probability 0.000" in plan(sample=never)[0].reason


def torch_bar(pokes: torch.Tensor, points: np.ndarray) -> MotionMixture:
    """The bar for one poke on it, with gradients."""
    lever = torch.from_numpy((points[:, 0] - PIVOT[0]) * (points[:, 1] == WANTED[1]))
    down = lever / (pokes[0, 0] - PIVOT[0]) * pokes[0, 3]
    locs = torch.stack([torch.zeros_like(down), down], -1)
    tril = torch.eye(2, dtype=torch.float64).expand(len(points), 1, 2, 2)
    return MotionMixture(torch.zeros(len(points), 1).double(), locs[:, None], tril)


def test_gradients_refine_the_plan():
    little = {"plans": 1, "candidates": 4, "rounds": 1, "seed": 2}
    rough, fine = plan(**little)[0], plan(**little, predict=torch_bar)[0]
    assert abs(turned(rough.poke) - GOAL[1]) > 0.2
    assert turned(fine.poke) == pytest.approx(GOAL[1], abs=0.05)
    assert fine.score > rough.score


def test_gradients_of_the_predictor_refine_the_plan():
    """On noise and with the embedded weights: no plan is worse, and some are better."""
    predictor = Predictor.from_checkpoint("embedded", device="cpu")
    image = np.random.default_rng(0).integers(0, 255, (160, 160, 3), np.uint8)
    context = predictor.embed(image)
    ask, predict = (partial(f, context) for f in (predictor.evaluate, predictor.predict))
    little = {"evaluate": ask, "points": [[80.0, 80.0]], "goals": [[12.0, 0.0]], "stay": []}
    little |= {"touchable": np.ones((160, 160), bool), "candidates": 8, "rounds": 1, "plans": 1}
    rough = [plan(**little, seed=seed)[0].score for seed in range(2)]
    fine = [plan(**little, seed=seed, predict=predict)[0].score for seed in range(2)]
    gains = np.array(fine) - rough
    assert (gains > -0.01).all()
    assert (gains > 0.01).any()


def test_predictions_without_gradients_are_refused_by_name():
    flat = lambda pokes, points: torch_bar(pokes.detach(), points)  # noqa: E731
    with pytest.raises(ValueError, match="predict gave a mixture without gradients"):
        plan(predict=flat)
