from __future__ import annotations

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from toy import write_toy_split

from fpt_ros.model import FlowPokeTransformer, ModelConfig, load_checkpoint, save_checkpoint
from fpt_ros.training.evaluate import (
    SETS,
    choose,
    choose_motion_threshold,
    judge,
    main,
    predict,
)
from fpt_ros.training.metrics import make_cases
from fpt_ros.training.threshold import main as choose_threshold


@pytest.fixture(scope="module")
def model() -> FlowPokeTransformer:
    torch.manual_seed(0)
    config = ModelConfig(
        encoder="efficientnet_lite0", image_size=64, width=64, depth=1, flow_scale=20.0
    )
    return FlowPokeTransformer(config).eval()


def test_predictions_are_what_the_model_says_of_each_point(model, toy_scenes):
    cases = make_cases(toy_scenes[:20])  # more than one batch
    found = predict(model, cases, cases.images)
    index = 18
    image = torch.from_numpy(cases.images[index]).permute(2, 0, 1)[None] / 127.5 - 1
    points, flow = (torch.from_numpy(a[index])[None] for a in (cases.points, cases.flow))
    poke = int(cases.pokes[index, 0])
    with torch.no_grad():
        mixture = model.predict_parallel(
            points[:, [poke]], flow[:, [poke]], points, True, model.embed_image(image)
        )
    np.testing.assert_allclose(found.mean[index], mixture.mean[0], atol=1e-5)
    expected = mixture.log_prob(flow)[0]
    np.testing.assert_allclose(found.log_likelihood[index], expected, atol=1e-3)
    np.testing.assert_allclose(
        found.moves[index], 1 - mixture.probability_within(torch.zeros(2), 0.01)[0], atol=1e-4
    )


def test_knowing_the_truth_gives_perfect_figures(model, toy_scenes):
    """Choosing and judging with predictions that are the truth itself."""
    cases = make_cases(toy_scenes)
    predicted = predict(model, cases, cases.images)
    known = {
        "mean": cases.flow,
        "moves": cases.moving.astype(float),
        # A poke also changes what is known of points that stay.
        "divergence": np.where(cases.moving, 2.0, 3.0),
    }
    truth = type(predicted)(**{**vars(predicted), **known})
    choices = choose(cases, truth)
    figures = judge(cases, truth, choices)
    assert choices.estimate == "mean" and choices.motion_threshold == 1.95
    assert figures["mean"] == 0 and figures["iou"] == 1 and figures["divergence_iou"] < 1


def test_the_command_writes_figures_table_and_picture(model, toy_data, tmp_path, capsys):
    data = tmp_path / "data"
    shutil.copytree(toy_data / "train", data / "train")
    for seed, name in enumerate(SETS):
        write_toy_split(data / name, shards=1, pictures=8, seed=10 + seed)
    save_checkpoint(model, tmp_path / "model.safetensors")
    main(
        [
            *("--data", str(data), "--checkpoint", str(tmp_path / "model.safetensors")),
            *("--out", str(tmp_path / "out")),
        ]
    )
    printed = capsys.readouterr().out
    assert all(title in printed for title in SETS.values())
    record = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert record["sets"]["heldout_b"]["pictures"] == 8
    assert f"{record['sets']['heldout_b']['ours']['iou']:.3f}" in printed
    sheet = cv2.imread(str(tmp_path / "out" / "contact_sheet.png"))
    assert sheet is not None and sheet.std() > 10


def test_a_checkpoint_gets_the_threshold_that_suits_its_training_scenes(
    model, toy_data, toy_scenes, tmp_path
):
    save_checkpoint(model, tmp_path / "in.safetensors")
    found = tmp_path / "out.safetensors"
    choose_threshold(
        [
            *("--data", str(toy_data), "--checkpoint", str(tmp_path / "in.safetensors")),
            *("--out", str(found)),
        ]
    )
    chosen = load_checkpoint(found, device="cpu").config
    assert replace(chosen, motion_threshold=model.config.motion_threshold) == model.config
    cases = make_cases(toy_scenes)
    predicted = predict(model, cases, cases.images)
    best = choose_motion_threshold(cases, predicted)
    assert chosen.motion_threshold == best
