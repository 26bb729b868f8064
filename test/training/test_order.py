# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from tiny import tiny_recipe

from fpt_ros.training.order import Order


def numbers(order: Order) -> list[int]:
    return [request.number for batch in order for request in batch]


def test_each_epoch_takes_every_sample_once_in_another_order():
    order = Order(10, tiny_recipe(images=5, steps=4))
    drawn = numbers(order)
    assert sorted(drawn[:10]) == sorted(drawn[10:]) == list(range(10))
    assert drawn[:10] != drawn[10:]
    assert drawn[:10] != numbers(Order(10, tiny_recipe(images=5, steps=4, seed=1)))[:10]


def test_a_step_may_be_larger_than_the_data():
    batches = list(Order(3, tiny_recipe(images=7, steps=2)))
    assert [request.epoch for request in batches[0]] == [0, 0, 0, 1, 1, 1, 2]


def test_two_processes_share_what_one_would_take():
    halves = [list(Order(11, tiny_recipe(images=2), 0, rank, 2)) for rank in (0, 1)]
    joint = list(Order(11, tiny_recipe(images=4)))
    assert [a + b for a, b in zip(*halves, strict=True)] == joint


def test_a_resumed_order_goes_on_where_the_other_stopped():
    recipe = tiny_recipe(images=3, steps=9)
    assert list(Order(7, recipe, first_step=5)) == list(Order(7, recipe))[5:]
