# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from squares import write_squares

from fpt_ros.data.moments import read_moment
from fpt_ros.data.shards import find_shards, read_samples
from fpt_ros.eval.__main__ import main
from fpt_ros.eval.cases import Cases
from fpt_ros.eval.choices import choose
from fpt_ros.eval.evaluation import evaluate, judge, other_scenes
from fpt_ros.eval.figures import mean_iou
from fpt_ros.eval.predictions import Predictions, predict
from fpt_ros.eval.reading import read_cases, scene_of
from fpt_ros.eval.tables import tables
from fpt_ros.eval.threshold import best_motion_threshold, choose_motion_threshold
from fpt_ros.eval.threshold import main as threshold_main
from fpt_ros.model import load_checkpoint, save_checkpoint

PLOTS = ("bars", "contact_sheet", "coverage", "distance", "pck", "uncertainty")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Three sets: to choose on, with bodies, without."""
    folder = tmp_path_factory.mktemp("data")
    write_squares(folder / "val", clips=6, seed=1)
    write_squares(folder / "known", clips=5, seed=2)
    write_squares(folder / "tracked", clips=2, seed=3, bodies=False)
    return folder


@pytest.fixture(scope="module")
def evaluated(data, tiny_checkpoint, tmp_path_factory):
    out = tmp_path_factory.mktemp("figures")
    main([
        str(data), "--choose-on", str(data / "val"), "--checkpoint", str(tiny_checkpoint),
        "--out", str(out), "--cases", "8", "--device", "cpu",
    ])  # fmt: skip
    return out


def test_figures_of_every_set_but_that_for_choosing(evaluated):
    record = json.loads((evaluated / "figures.json").read_text())
    assert list(record["sets"]) == ["known", "tracked"]
    known, tracked = record["sets"].values()
    assert known["cases"] == 8 and known["clips"] == 5 and known["skip"] == 1
    for condition in ("no_poke", "one_poke", "four_pokes", "shuffled"):
        found = known[condition]
        assert np.isfinite([found["same_body"], found["static"], found["nll"]]).all()
        assert 0 <= found["coverage"]["moving"]["90%"] <= 1
        assert found["epe_best_of_5"] < found["epe_sample"]
        assert found["pck_0.001"] <= found["pck_0.01"] <= found["pck_0.1"]
    assert set(known["baselines"]) == {
        "nothing moves", "all moves like the poke", "poke fading with distance",
        "GrabCut round the poke", "Felzenszwalb's segment at the poke",
    }  # fmt: skip
    assert known["baselines"]["nothing moves"]["static"] == 0
    # Squares move like their pokes; without bodies there is no poked body to speak of.
    assert known["body_like_poke"]["mean"] == pytest.approx(0, abs=1e-6)
    assert tracked["body_like_poke"] is None
    assert tracked["one_poke"]["same_body"] is None
    assert tracked["one_poke"]["coverage"]["same_body"]["50%"] is None
    assert tracked["one_poke"]["mean"] > 0
    # A square's colour is its own, so that GrabCut finds it.
    means = {name: found["mean"] for name, found in known["baselines"].items()}
    assert means["GrabCut round the poke"] < means["all moves like the poke"] / 2
    assert known["segmenter_iou"]["GrabCut round the poke"] > 0.6
    assert known["splits"]["goes along"]["cases"] == 8
    assert known["splits"]["goes along"]["ours"]["mean"] == pytest.approx(known["one_poke"]["mean"])
    assert tracked["splits"] == {}
    assert record["checkpoint"]["sha256"]


def test_the_tables_say_what_the_figures_say(evaluated, capsys):
    record = json.loads((evaluated / "figures.json").read_text())
    text = (evaluated / "tables.md").read_text()
    known = record["sets"]["known"]
    assert f"**{known['one_poke']['mean']:.2%}**" in text
    assert f"**{known['one_poke']['iou']:.3f}**" in text
    assert f"**{known['one_poke']['nll']:.2f}**" in text
    assert text.count("| known") == 5 and text.count("| tracked") == 4  # bodies are not known


@pytest.mark.parametrize("name", PLOTS)
def test_plots_show_something(evaluated, name):
    picture = cv2.imread(str(evaluated / f"{name}.png"))
    assert picture is not None and picture.std() > 10


def test_what_is_missing_or_wrong_is_said(data, tiny_checkpoint, tmp_path, capsys):
    out = tmp_path / "out"
    common = ["--checkpoint", str(tiny_checkpoint), "--out", str(out), "--device", "cpu"]
    with pytest.raises(SystemExit):
        main([str(data / "known"), *common])
    assert "--choose-on" in capsys.readouterr().err
    known, val = str(data / "known"), str(data / "val")
    for arguments, expected in (
        ([known, "--choose-on", str(data / "gone")], "gone: no such shard"),
        ([known, "--choose-on", known], "--choose-on holds all that should be judged"),
        ([known, "--choose-on", val, "--skip", "9"], "--skip 3 at most fits"),
        ([known, "--choose-on", val, "--cases", "0"], "--cases is 0: must be at least 1"),
        ([known, "--choose-on", val, "--skip", "0"], "--skip is 0: must be at least 1"),
        ([known, "--choose-on", val, "--noise", "-1"], "--noise is -1.0: must be at least 0"),
    ):
        with pytest.raises(SystemExit, match=expected):
            main([*arguments, *common])
    assert not out.exists()


def test_sets_with_broken_shards_are_judged_as_far_as_they_go(
    data, tiny_checkpoint, tmp_path, capsys
):
    whole = write_squares(tmp_path / "set", clips=4, seed=4)
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) // 2])
    text = tmp_path / "text.tar"
    text.write_text("no tar\n" * 200)
    main([
        str(whole.parent), str(text), "--choose-on", str(data / "val"), "--cases", "2",
        "--checkpoint", str(tiny_checkpoint), "--out", str(tmp_path / "out"), "--device", "cpu",
    ])  # fmt: skip
    sets = json.loads((tmp_path / "out" / "figures.json").read_text())["sets"]
    assert list(sets) == ["set"] and sets["set"]["clips"] == 2
    said = re.split("[\r\n]", capsys.readouterr().err)
    lines = [line for line in said if line.startswith("left out: ")]
    assert [line.partition(": ")[2].partition(" is not a whole")[0] for line in lines] == [
        str(whole), str(text), "text: there is no sample in its shards",
    ]  # fmt: skip


def test_pictures_are_exchanged_between_scenes():
    scenes = [scene for scene in "abcd" for _ in range(6)]
    others = other_scenes(scenes)
    assert sorted(others) == list(range(24))
    assert all(scenes[i] != scenes[other] for i, other in enumerate(others))
    uneven = ["a", "a", "a", "b"]
    assert all(uneven[i] != uneven[other] for i, other in enumerate(other_scenes(uneven)))
    assert other_scenes(["a", "a"]) is None


@pytest.mark.parametrize("meta, scene", [
    ({"source": "metaworld", "scene": "drawer-close-v3", "seed": [0, 2, 0, 5]}, "drawer-close-v3"),
    ({"source": "procedural", "scene": "drawer+box", "seed": [0, 2, 0, 5]}, "[0, 2, 0, 5]"),
    ({"source": "videos/kitchen.mp4", "start": 2.0}, "videos/kitchen.mp4"),
    ({}, "clip-3"),
])  # fmt: skip
def test_the_scene_of_a_clip(meta, scene):
    sample = {"__key__": "clip-3", "meta.json": json.dumps(meta).encode()}
    assert scene_of(sample) == scene
    assert scene_of({"__key__": "clip-3"}) == "clip-3"


def test_with_one_scene_it_is_said_that_no_pictures_can_be_exchanged(model, cases, capsys):
    alike = Cases([replace(case, scene="kitchen") for case in cases.each[:4]])
    choices = choose(alike, predict(model, alike)[1])
    figures = evaluate("mine", model, alike, 1, choices).figures
    assert figures["shuffled"] is None
    assert "mine: all clips show one scene" in capsys.readouterr().err
    assert "| one scene |" in " ".join(tables({"mine": figures}).split())


def test_a_model_is_shown_the_pictures_of_others(model, cases):
    cases = Cases(cases.each[:6])
    choices = choose(cases, predict(model, cases)[1])
    found = evaluate("squares", model, cases, 1, choices).figures
    own = [case.image for case in cases.each]
    wrong = [own[i] for i in other_scenes([case.scene for case in cases.each])]
    expected = judge(model, cases, predict(model, cases, images=wrong)[1], choices)
    assert found["shuffled"]["nll"] == expected["nll"] != found["one_poke"]["nll"]


def test_what_is_chosen_is_best(model, cases):
    predicted = predict(model, cases)[1]
    choices = choose(cases, predicted)
    found = mean_iou(cases, cases.distance < choices.disc)
    others = [mean_iou(cases, cases.distance < radius) for radius in np.linspace(0.05, 1, 20)]
    assert found > max(others) - 0.01 and found > 0.3
    alone = mean_iou(cases, predicted.divergence > choices.divergence_threshold)
    levels = np.quantile(predicted.divergence, np.linspace(0.05, 0.95, 10))
    assert alone > max(mean_iou(cases, predicted.divergence > level) for level in levels) - 0.01


def truth(cases, predicted: Predictions) -> Predictions:
    """As if the model knew."""
    return replace(
        predicted,
        mean=cases.flow,
        moves=cases.moving.astype(float),
        # A poke also changes what is known of points that stay.
        divergence=np.where(cases.moving, 2.0, 3.0),
    )


def test_knowing_the_truth_gives_perfect_figures(model, cases):
    known = truth(cases, predict(model, cases)[1])
    choices = choose(cases, known)
    threshold = best_motion_threshold(cases, known)
    assert threshold == 1.95
    config = model.config
    try:
        model.config = replace(config, motion_threshold=threshold)
        figures = judge(model, cases, known, choices)
    finally:
        model.config = config
    assert figures["mean"] == figures["epe_mean"] == 0
    assert figures["iou"] == 1 and figures["divergence_iou"] < 1


def test_a_checkpoint_gets_the_threshold_that_suits_the_clips(model, data, tmp_path):
    source, found = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    save_checkpoint(model, source)
    threshold_main([
        "--choose-on", str(data / "val"), "--checkpoint", str(source), "--out", str(found),
        "--device", "cpu",
    ])  # fmt: skip
    chosen = load_checkpoint(found, device="cpu").config
    assert replace(chosen, motion_threshold=model.config.motion_threshold) == model.config
    cases, _ = read_cases("choose-on", find_shards([data / "val"]), None, 300)
    assert chosen.motion_threshold == best_motion_threshold(cases, predict(model, cases)[1])
    assert found.stat().st_size == source.stat().st_size


def test_half_precision_stays_half_precision(model, data, tmp_path):
    source, found = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    half = load_checkpoint(_saved(model, tmp_path / "full.safetensors"), "cpu", "float16")
    save_checkpoint(half, source)
    threshold_main(
        ["--choose-on", str(data / "val"), "--checkpoint", str(source), "--out", str(found)]
    )
    assert abs(found.stat().st_size - source.stat().st_size) < 100


def _saved(model, path: Path) -> Path:
    save_checkpoint(model, path)
    return path


def test_a_threshold_from_moments(model, shard):
    moments = [read_moment(sample, 1, [1, 2, -1]) for sample in read_samples(shard)]
    found = choose_motion_threshold(model, moments)
    assert 0 <= found <= 3 and found == choose_motion_threshold(model, moments)
    still = [replace(moment, flows=np.zeros_like(moment.flows)) for moment in moments]
    with pytest.raises(ValueError, match="nothing moves in 12 moments"):
        choose_motion_threshold(model, still)
