# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from dataclasses import asdict, replace

import pytest

from fpt_ros.model import ModelConfig
from fpt_ros.training.__main__ import make_parser, make_recipe
from fpt_ros.training.loop import Running
from fpt_ros.training.recipes import RECIPES, Recipe, Sampling, differences

BASE, SMALL = RECIPES["base"], RECIPES["small"]


def test_the_base_recipe_is_the_published_one():
    published = {
        "steps": 1_000_000,
        "learning_rate": 5e-5,
        "final_rate": 1e-8,
        "warm_up": 100_000,
        "beta2": 0.99,
        "clip": 1.0,
        "bfloat16": True,
        "freeze_encoder": False,
        "trunk_share": 1.0,
        "pair_weight": 0.0,
        "noise": 0.0,
    }
    assert {name: getattr(BASE, name) for name in published} == published
    assert BASE.model == ModelConfig()
    sampling = BASE.sampling
    assert (sampling.images, sampling.pokes, sampling.queries) == (32, 128, 15)
    assert sampling.skips == (25,) and sampling.any_poke == 1.0


def test_the_small_recipe_trains_the_embedded_model():
    assert SMALL.model.encoder == "efficientnet_lite0" and SMALL.model.flow_scale == 20
    assert SMALL.sampling.skips == (1, 2, 3, -1, -2, -3)
    assert SMALL.clip_by_group and SMALL.pair_weight == 2.0 and SMALL.trunk_share == 0.25


def test_the_published_schedule():
    assert BASE.rate_at(0) == pytest.approx(5e-10)
    assert BASE.rate_at(49_999) == pytest.approx(2.5e-5)
    assert BASE.rate_at(100_000) == pytest.approx(5e-5)
    assert BASE.rate_at(550_000) == pytest.approx((5e-5 + 1e-8) / 2)
    assert BASE.rate_at(1_000_000) == pytest.approx(1e-8)
    quarter = 1e-8 + (5e-5 - 1e-8) * (1 + math.cos(math.pi / 4)) / 2
    assert BASE.rate_at(325_000) == pytest.approx(quarter)


def test_a_late_start_waits_and_then_warms_up():
    recipe = replace(SMALL, steps=1000, warm_up=100, learning_rate=1e-3)
    assert recipe.rate_at(299, start=300) == 0
    cosine = (1 + math.cos(math.pi * 250 / 900)) / 2
    assert recipe.rate_at(350, share=0.5, start=300) == pytest.approx(0.5e-3 * 0.51 * cosine)


def test_the_noise_on_the_targets_falls_and_then_stays():
    recipe = replace(SMALL, steps=100)
    found = [recipe.noise_at(step) for step in (0, 40, 80, 100)]
    assert found == pytest.approx([0.015, (0.015 * 0.002) ** 0.5, 0.002, 0.002])
    assert BASE.noise_at(0) == 0


def test_every_setting_can_be_given_on_the_command_line():
    given = ["--data=a", "--out=b", "--recipe=small", "--steps=7", "--skips=1,-2", "--no-augment"]
    recipe = make_recipe(make_parser().parse_args([*given, "--width=128", "--bfloat16"]))
    assert recipe == replace(
        SMALL,
        steps=7,
        sampling=replace(SMALL.sampling, skips=(1, -2), augment=False),
        model=replace(SMALL.model, width=128),
    )


def test_settings_of_the_small_model_are_the_small_recipes_alone():
    small = make_parser().parse_args(["--data=a", "--out=b", "--recipe=small", "--pooling=1"])
    assert make_recipe(small).model == replace(SMALL.model, pooling=1)
    base = make_parser().parse_args(["--data=a", "--out=b", "--recipe=base", "--pooling=1"])
    with pytest.raises(ValueError, match="pooling: not a setting of the base recipe's model"):
        make_recipe(base)


def test_the_help_says_what_settings_mean():
    shown = " ".join(make_parser().format_help().split())
    assert "--pokes POKES Pokes of a motion: its queries see the first 0, 1" in shown
    assert "of them. (base 128, small 5)" in shown
    assert "that grow are 1. (small 0.2)" in shown


def test_other_settings_are_named():
    new = replace(SMALL, clip=2.0, sampling=replace(SMALL.sampling, skips=(1,)))
    found = differences(asdict(SMALL), asdict(new))
    assert found == ["clip was 1.0 and is 2.0", "skips was (1, 2, 3, -1, -2, -3) and is (1,)"]
    old = asdict(SMALL)
    del old["beta2"]  # of a later version
    assert differences(old, asdict(SMALL)) == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Recipe(steps=0), "steps is 0: must be an integer from 1"),
        (lambda: Recipe(ema=1.5), "ema is 1.5: must be a number from 0 to 1"),
        (lambda: Recipe(first_noise=0.1), "first_noise is 0.1: must be a number from 0 to 0"),
        (lambda: Recipe(learning_rate=math.nan), "learning_rate is nan"),
        (lambda: Running(report_every=0), "report_every is 0: must be an integer from 1"),
        (lambda: Sampling(pokes=2.5), "pokes is 2.5: must be an integer"),
        (lambda: Sampling(skips=(1, 0)), r"skips is \(1, 0\): must be one or more"),
        (lambda: Sampling(least_crop=0.0), "least_crop is 0.0: must be a number from 0.2 to 1"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
