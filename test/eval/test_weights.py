# SPDX-License-Identifier: Apache-2.0
"""The weights in the package, on held-out scenes simulated here and now.

The full figures come from ``fpt-eval``; this asks the same questions of fewer clips.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fpt_ros.data.shards import find_shards
from fpt_ros.eval.choices import choose
from fpt_ros.eval.evaluation import evaluate
from fpt_ros.eval.predictions import predict
from fpt_ros.eval.reading import read_cases
from fpt_ros.model import load_checkpoint
from fpt_ros.simulation.making import make_split

SEED = 4321
SETS = ("heldout_a", "heldout_b", "heldout_c", "heldout_d")
KNOWN_CLIPS, CLIPS = 8, 5


@pytest.fixture(scope="module")
def figures(tmp_path_factory) -> list[dict]:
    """The figures of the four held-out sets whose camera stands still."""
    folder = tmp_path_factory.mktemp("held_out")

    def cases(split: str, clips: int):
        make_split(folder, split, clips, SEED)
        return read_cases(split, find_shards([folder / split]), 1, 3 * clips)[0]

    model = load_checkpoint("embedded", device="cpu")
    known = cases("val", KNOWN_CLIPS)
    choices = choose(known, predict(model, known)[1])
    return [evaluate(name, model, cases(name, CLIPS), 1, choices).figures for name in SETS]


def average(figures: list[dict], *path: str) -> float:
    def value(found):
        for key in path:
            found = found[key]
        return found

    return float(np.mean([value(found) for found in figures]))


def test_errors_are_below_every_baselines(figures):
    ours = average(figures, "one_poke", "mean")
    for baseline in figures[0]["baselines"]:
        assert ours < average(figures, "baselines", baseline, "mean"), baseline


def test_the_moving_part_is_found_better_than_by_a_disc(figures):
    assert average(figures, "one_poke", "iou") > average(figures, "disc_iou")


def test_wrong_pictures_make_it_clearly_worse(figures):
    ours, wrong = ({n: average(figures, c, n) for n in ("mean", "iou", "nll")}
                   for c in ("one_poke", "shuffled"))  # fmt: skip
    assert wrong["mean"] > 1.2 * ours["mean"]
    assert wrong["iou"] < ours["iou"] - 0.05
    assert wrong["nll"] > ours["nll"] + 0.15


def test_more_pokes_help(figures):
    one, four = (average(figures, name, "same_body") for name in ("one_poke", "four_pokes"))
    assert four < 0.9 * one


def test_the_file_is_small_and_says_what_it_is():
    path = Path(__file__).parents[2] / "fpt_ros" / "weights" / "embedded.safetensors"
    assert path.stat().st_size <= 25e6
    config = load_checkpoint("embedded", device="cpu").config
    assert config.license == "Apache-2.0" and config.encoder == "efficientnet_lite0"
