# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from tiny import tiny_recipe

from fpt_ros.training.order import Order, shares
from fpt_ros.training.recipes import Recipe


def order_of(samples: int, recipe: Recipe, *rest: int, **more: int) -> Order:
    return Order([np.arange(samples)], [0.0], recipe, *rest, **more)


def numbers(order: Order) -> list[int]:
    return [request.number for batch in order for request in batch]


def test_each_epoch_takes_every_sample_once_in_another_order():
    order = order_of(10, tiny_recipe(images=5, steps=4))
    drawn = numbers(order)
    assert sorted(drawn[:10]) == sorted(drawn[10:]) == list(range(10))
    assert drawn[:10] != drawn[10:]
    assert drawn[:10] != numbers(order_of(10, tiny_recipe(images=5, steps=4, seed=1)))[:10]


def test_a_step_may_be_larger_than_the_data():
    batches = list(order_of(3, tiny_recipe(images=7, steps=2)))
    assert [request.epoch for request in batches[0]] == [0, 0, 0, 1, 1, 1, 2]


def test_two_processes_share_what_one_would_take():
    halves = [list(order_of(11, tiny_recipe(images=2), 0, rank, 2)) for rank in (0, 1)]
    joint = list(order_of(11, tiny_recipe(images=4)))
    assert [a + b for a, b in zip(*halves, strict=True)] == joint


def test_a_resumed_order_goes_on_where_the_other_stopped():
    recipe = tiny_recipe(images=3, steps=9)
    assert list(order_of(7, recipe, first_step=5)) == list(order_of(7, recipe))[5:]


def test_weights_say_how_many_pictures_each_source_gives():
    few, many = np.arange(3), np.arange(3, 20)
    recipe = tiny_recipe(images=10, steps=40)  # 20 epochs of 20
    drawn = [request for batch in Order([few, many], [3.0, 1.0], recipe) for request in batch]
    of_few = [request for request in drawn if request.number < 3]
    assert len(of_few) == 300
    counts = np.bincount([request.number for request in drawn])
    assert set(counts[:3]) == {100}, "of one source all samples come as often"
    assert max(counts[3:]) - min(counts[3:]) == 1
    assert len(set(drawn)) == len(drawn), "nothing is drawn twice in the same way"
    for part in drawn[:20], drawn[200:220]:
        assert sum(request.number < 3 for request in part) == 15, "in every epoch"
    halves = [next(iter(Order([few, many], [3.0, 1.0], recipe, step))) for step in (0, 20)]
    assert [drawn[:10], drawn[200:210]] == halves


@pytest.mark.parametrize("weights", [[0.0, 0.0], [1.0, 1.0], [1.0, 1e-9], [0.3, 0.7]])
def test_shares_make_up_an_epoch(weights):
    found = shares(weights, [7, 12])
    assert sum(found) == 19 and min(found) >= 0
    assert any(weights) or found == [7, 12]
