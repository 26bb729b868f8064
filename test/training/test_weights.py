"""The weights in the package, on held-out scenes simulated here and now.

The full figures come from ``fpt-eval``; this asks the same questions of fewer pictures.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fpt_ros.model import load_checkpoint
from fpt_ros.simulation.shards import make_split
from fpt_ros.training.evaluate import SETS, choose, judge_set, predict
from fpt_ros.training.metrics import make_cases
from fpt_ros.training.scenes import load_scenes

SEED = 4321
KNOWN_PICTURES, PICTURES = 24, 12


@pytest.fixture(scope="module")
def figures(tmp_path_factory) -> list[dict]:
    """The figures of the four held-out sets."""
    folder = tmp_path_factory.mktemp("held_out")

    def cases(split: str, pictures: int):
        make_split(folder, split, pictures, SEED)
        return make_cases(load_scenes(folder / split))

    model = load_checkpoint("embedded", device="cpu")
    known = cases("train", KNOWN_PICTURES)
    choices = choose(known, predict(model, known, known.images))
    choices = replace(choices, motion_threshold=model.config.motion_threshold)
    return [judge_set(model, cases(name, PICTURES), choices) for name in SETS]


def average(figures: list[dict], *path: str) -> float:
    def value(found):
        for key in path:
            found = found[key]
        return found

    return float(np.mean([value(found) for found in figures]))


def test_errors_are_below_every_baselines(figures):
    ours = average(figures, "ours", "mean")
    for baseline in figures[0]["baselines"]:
        assert ours < average(figures, "baselines", baseline, "mean"), baseline


def test_the_moving_part_is_found_better_than_by_a_disc(figures):
    assert average(figures, "ours", "iou") > average(figures, "disc_iou")


def test_wrong_pictures_make_it_clearly_worse(figures):
    assert average(figures, "shuffled", "mean") > 1.2 * average(figures, "ours", "mean")
    assert average(figures, "shuffled", "iou") < average(figures, "ours", "iou") - 0.05
    assert average(figures, "shuffled", "nll") > average(figures, "ours", "nll") + 0.15


def test_more_pokes_help(figures):
    one, four = (average(figures, name, "same_body") for name in ("ours", "four_pokes"))
    assert four < 0.9 * one


def test_the_file_is_small_and_says_what_it_is():
    path = Path(__file__).parents[2] / "fpt_ros" / "weights" / "embedded.safetensors"
    assert path.stat().st_size <= 25e6
    config = load_checkpoint("embedded", device="cpu").config
    assert config.license == "Apache-2.0" and config.encoder == "efficientnet_lite0"
