"""Real training, small: on toy scenes, with the real model."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from fpt_ros.model import FlowPokeTransformer, ModelConfig, load_checkpoint
from fpt_ros.training.batches import Sampling, draw_batch
from fpt_ros.training.trainer import Recipe, Trainer

SAMPLING = Sampling(images=4, motions=2, pokes=3, queries=8, pairs=32)


def make_trainer(out, **settings) -> Trainer:
    torch.manual_seed(0)
    config = ModelConfig(
        encoder="efficientnet_lite0", image_size=64, width=64, depth=1, flow_scale=20.0
    )
    recipe = Recipe(**{"pair_steps": 3, "warm_up": 5, "sampling": SAMPLING, **settings})
    return Trainer(FlowPokeTransformer(config), recipe, out)


def test_training_lowers_both_losses(toy_scenes, tmp_path):
    trainer = make_trainer(tmp_path, steps=60, pair_steps=10)
    history = [trainer.train_step(toy_scenes) for _ in range(60)]
    assert set(history[0]) == {"pair"}, "the pair loss leads alone"

    def mean(name, records):
        return sum(record[name] for record in records) / len(records)

    assert mean("pair", history[-10:]) < 0.8 * mean("pair", history[:10])
    assert mean("motion", history[-10:]) < mean("motion", history[10:15]) - 0.5


def test_a_resumed_run_goes_on_as_if_never_interrupted(toy_scenes, tmp_path):
    whole = make_trainer(tmp_path / "whole", steps=8)
    expected = [whole.train_step(toy_scenes) for _ in range(8)]
    first = make_trainer(tmp_path / "parts", steps=8)
    for _ in range(5):
        first.train_step(toy_scenes)
    first.save()
    second = make_trainer(tmp_path / "parts", steps=8)
    second.resume()
    assert second.step == 5
    resumed = [second.train_step(toy_scenes) for _ in range(3)]
    for ours, theirs in zip(resumed, expected[5:], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
    for ours, theirs in zip(second.averaged.parameters(), whole.averaged.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_a_failed_save_leaves_the_last_checkpoint_whole(toy_scenes, tmp_path, monkeypatch):
    trainer = make_trainer(tmp_path, steps=8)
    trainer.train_step(toy_scenes)
    trainer.save()
    before = (tmp_path / "checkpoint.pt").read_bytes()

    def disk_full(state, path):
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", disk_full)
    trainer.train_step(toy_scenes)
    with pytest.raises(OSError, match="no space"):
        trainer.save()
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_a_moving_camera_is_answered_as_a_static_one(toy_scenes, tmp_path):
    """No scene has a moving camera: its condition must not be left as it was drawn."""
    trainer = make_trainer(tmp_path, steps=8, pair_steps=0)
    for _ in range(3):
        trainer.train_step(toy_scenes)
    model = trainer.model_to_ship().float()
    batch = draw_batch(toy_scenes, SAMPLING, np.random.default_rng(0))
    with torch.no_grad():
        embedded = model.embed_image(batch.images)
        moving, static = (
            model.query_causal(batch.poke_pos, batch.poke_flow, batch.query_pos, camera, embedded)
            for camera in (False, True)
        )
    assert static.locs.std() > 0
    torch.testing.assert_close(moving.locs, static.locs)


def test_the_schedule_warms_up_and_ends_at_zero(tmp_path):
    trainer = make_trainer(tmp_path, steps=100, pair_steps=20, learning_rate=1e-3)

    def rates(step):
        trainer.step = step
        trainer._set_learning_rates()
        return [group["lr"] for group in trainer.optimizer.param_groups]

    assert rates(10)[2] == 0, "the transformer waits for the pair loss's lead"
    trunk, join, transformer = rates(30)
    assert trunk == pytest.approx(join / 4) and transformer == pytest.approx(join)
    assert join == pytest.approx(1e-3 * 0.7939, rel=1e-3)  # (1 + cos(0.3 pi)) / 2
    assert rates(100) == [0, 0, 0]


def test_the_noise_on_the_targets_falls_and_then_stays(tmp_path):
    trainer = make_trainer(tmp_path, steps=100, first_noise=0.015)
    found = []
    for trainer.step in (0, 40, 80, 100):
        found.append(trainer.noise)
    assert found == pytest.approx([0.015, (0.015 * 0.002) ** 0.5, 0.002, 0.002])


def test_another_encoder_is_refused(tmp_path):
    model = FlowPokeTransformer(
        ModelConfig(encoder="dinov2_vits14", image_size=28, width=64, depth=1)
    )
    with pytest.raises(ValueError, match="encoder is dinov2_vits14: training needs"):
        Trainer(model, Recipe(steps=1), tmp_path)


def test_a_run_without_an_end_is_refused():
    with pytest.raises(ValueError, match="steps and hours are both missing"):
        Recipe()


def test_the_command_trains_in_two_processes_and_leaves_a_usable_model(toy_data, tmp_path):
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
        *("-m", "fpt_ros.training", "--data", toy_data, "--out", tmp_path, "--image-size", "64"),
        *("--width", "64", "--depth", "1", "--steps", "6", "--pair-steps", "2", "--images", "2"),
        *("--queries", "4", "--pokes", "3", "--validate-every", "3", "--pairs", "16"),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(part) for part in command], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [3, 6]
    assert {"val_no_poke", "val_one_poke", "val_one_poke_shuffled", "motion"} <= set(records[-1])
    model = load_checkpoint(tmp_path / "model.safetensors", device="cpu")
    assert model.config.flow_scale == 20 and model.config.license == "Apache-2.0"
