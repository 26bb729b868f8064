# SPDX-License-Identifier: Apache-2.0
"""Real training, small: on the toy world, with the real model."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from tiny import batches, tiny_loop, tiny_recipe, tiny_trainer
from toy_clips import write_toy_shards

from fpt_ros.model import ModelConfig, MotionMixture, load_checkpoint
from fpt_ros.training.distributed import Processes
from fpt_ros.training.loss import uncertainty_weight
from fpt_ros.training.recipes import RECIPES
from fpt_ros.training.stopping import Stop
from fpt_ros.training.trainer import NotFiniteError, Trainer


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in trainer.loss.named_parameters()}


def test_training_learns_a_tiny_set_by_heart(tmp_path):
    data = write_toy_shards(tmp_path / "data", shards=1, clips=2, seed=0)
    plain = {"augment": False, "least_crop": 1.0, "first_noise": 0.002}
    recipe = tiny_recipe(steps=40, pair_steps=8, learning_rate=3e-3, **plain)
    trainer = tiny_trainer(recipe, "imagenet")
    history = [trainer.train_step(loaded) for loaded in batches(recipe, data)]
    assert "nll" not in history[7] and "nll" in history[8], "the encoder learns alone at first"

    def mean(name, steps):
        return sum(history[step][name] for step in steps) / len(steps)

    assert mean("pair", range(30, 40)) < 0.4 * mean("pair", range(5))
    assert mean("nll", range(30, 40)) < mean("nll", range(8, 13)) - 0.6


def test_clips_without_bodies_train_too(toy_data):
    recipe = tiny_recipe(pair_steps=0, steps=2)
    trainer = tiny_trainer(recipe)
    for loaded in batches(recipe, toy_data / "real"):
        found = trainer.train_step(loaded)
        assert found["pair"] == 0 and found["loss"] == found["weighted_nll"]


def test_a_resumed_run_ends_with_the_same_bits(toy_data, tmp_path):
    """In float32: weights, their average, the optimizer's state and random states."""
    recipe, data = tiny_recipe(), toy_data / "train"
    whole = tiny_loop(recipe, data, tmp_path / "whole")
    assert whole.run(Stop())
    first = tiny_loop(recipe, data, tmp_path / "parts")
    assert not first.run(StopAt(first, 5))
    second = tiny_loop(recipe, data, tmp_path / "parts", workers=1)
    torch.manual_seed(123)
    second.resume()
    assert second.trainer.step == 5
    assert second.run(Stop())
    saved = [
        torch.load(tmp_path / run / "checkpoint.pt", weights_only=True)
        for run in ("whole", "parts")
    ]
    assert all(state.pop("seconds") > 0 for state in saved)
    assert_same_bits(*saved)
    shipped = [load_file(tmp_path / run / "model.safetensors") for run in ("whole", "parts")]
    assert_same_bits(*shipped)


class StopAt(Stop):
    """Stops a loop after a step, as a signal would."""

    def __init__(self, loop, step: int) -> None:
        super().__init__()
        self.loop, self.step = loop, step

    @property
    def reason(self) -> str:
        return "enough" if self.loop.trainer.step >= self.step else ""


def assert_same_bits(a, b, where: str = "") -> None:
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b) and a.dtype == b.dtype, where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same_bits(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for number, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same_bits(x, y, f"{where}/{number}")
    else:
        assert a == b, where


def test_resuming_with_other_settings_or_data_is_refused(toy_data, tmp_path):
    recipe, data = tiny_recipe(steps=2), toy_data / "train"
    loop = tiny_loop(recipe, data, tmp_path)
    loop.save()
    other = tiny_loop(tiny_recipe(steps=2, clip=3.0, pokes=2), data, tmp_path)
    with pytest.raises(ValueError, match=r"clip was 1.0 and is 3.0; pokes was 3 and is 2\. Take"):
        other.resume()
    with pytest.raises(ValueError, match="settings: pictures_a_step was 4 and is 2"):
        tiny_loop(tiny_recipe(steps=2, images=2), data, tmp_path).resume()
    with pytest.raises(ValueError, match=r"data was .* and is "):
        tiny_loop(recipe, toy_data / "val", tmp_path).resume()


def test_a_failed_save_leaves_the_last_checkpoint_whole(toy_data, tmp_path, monkeypatch):
    loop = tiny_loop(tiny_recipe(), toy_data / "train", tmp_path)
    loop.save()
    before = (tmp_path / "checkpoint.pt").read_bytes()

    def disk_full(state, path):
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", disk_full)
    with pytest.raises(OSError, match="no space"):
        loop.save()
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint.pt", "model.safetensors"}


def test_the_average_follows_the_weights(toy_data):
    recipe = tiny_recipe(ema=0.5, pair_steps=0, steps=4)
    trainer = tiny_trainer(recipe)
    name = "out_mlp.1.weight"
    expected = None
    for count, loaded in enumerate(batches(recipe, toy_data / "train")):
        trainer.train_step(loaded)
        now = trainer.model.state_dict()[name].double()
        decay = min(0.5, (1 + count) / (10 + count))
        expected = now if expected is None else decay * expected + (1 - decay) * now
    found = trainer.averaged_model.state_dict()[name].double()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
    assert (found - now).abs().max() > 1e-5


def test_gradients_are_cut_off_and_rates_follow_the_groups(toy_data):
    recipe = tiny_recipe(pair_steps=0, steps=3, warm_up=1, clip=1e-3)
    trainer = tiny_trainer(recipe)
    found = trainer.train_step(next(batches(recipe, toy_data / "train")))
    assert found["gradient_transformer"] > 1e-3
    for group in trainer.optimizer.param_groups:
        norm = torch.stack([p.grad.norm() for p in group["params"] if p.grad is not None]).norm()
        assert norm.item() == pytest.approx(1e-3, rel=1e-3)
    assert found["rate_trunk"] == pytest.approx(found["rate_join"] / 4)
    assert found["rate_transformer"] == found["rate_join"] == recipe.rate_at(0)


def test_a_loss_that_is_not_finite_stops_it_and_saves_the_batch(toy_data, tmp_path):
    loop = tiny_loop(tiny_recipe(pair_steps=0), toy_data / "train", tmp_path)
    with torch.no_grad():
        loop.trainer.model.cond_emb.weight[1, 0] = torch.nan
    before = weights(loop.trainer)
    with pytest.raises(NotFiniteError, match=r"step 0: nll is nan, .*samples: .*shard-") as error:
        loop.run(Stop())
    assert str(tmp_path / "nan_batch.pt") in str(error.value)
    saved = torch.load(tmp_path / "nan_batch.pt", weights_only=True)
    assert saved["batch"]["images"].shape == (4, 3, 64, 64) and len(saved["samples"]) == 4
    assert saved["model"]["cond_emb.weight"].isnan().sum() == 1
    after = weights(loop.trainer)
    assert all(torch.equal(before[n].nan_to_num(), after[n].nan_to_num()) for n in before)


def test_a_frozen_encoder_stays_as_it_was(toy_data):
    recipe = tiny_recipe(freeze_encoder=True, steps=2)
    trainer = tiny_trainer(recipe)
    before = weights(trainer)
    for loaded in batches(recipe, toy_data / "train"):
        trainer.train_step(loaded)
    changed = {name for name, p in weights(trainer).items() if not torch.equal(p, before[name])}
    assert changed and not any("image_embedder" in name for name in changed)


def test_frozen_stages_stay_as_they_were(toy_data):
    recipe = tiny_recipe(frozen_stages=2, pair_steps=0, steps=2)
    trainer = tiny_trainer(recipe)
    before = weights(trainer)
    for loaded in batches(recipe, toy_data / "train"):
        trainer.train_step(loaded)
    changed = {name for name, p in weights(trainer).items() if not torch.equal(p, before[name])}
    trunk = "model.image_embedder.model.trunk."
    kept = tuple(f"{trunk}{part}." for part in ("stem", "stages.0", "stages.1"))
    assert any(name.startswith(f"{trunk}stages.2.") for name in changed)
    assert not any(name.startswith(kept) for name in changed)


def test_points_count_by_the_deviation_that_is_predicted(toy_data):
    """One normal each; that of the last, and so its weight, is beyond what counts."""
    deviation = torch.tensor([0.01, 0.04, 0.0025, 3.0], dtype=torch.float64)
    nothing = torch.zeros(4, 1, dtype=torch.float64)
    scale = deviation[:, None, None, None] * torch.eye(2, dtype=torch.float64)
    mixture = MotionMixture(nothing, nothing[..., None].expand(4, 1, 2), scale)
    found = uncertainty_weight(mixture, 0.5)
    torch.testing.assert_close(found, torch.tensor([1, 2, 0.5, 20**0.5], dtype=torch.float64))

    recipe = tiny_recipe(pair_steps=0, beta=0.0)
    loaded = next(batches(recipe, toy_data / "train"))
    plain, weighted = (
        tiny_trainer(replace(recipe, beta=beta)).loss(loaded.batch) for beta in (0.0, 0.5)
    )
    assert plain["nll"] == weighted["nll"] and "weighted_nll" not in plain
    for found, name in ((plain, "nll"), (weighted, "weighted_nll")):
        rest = found["pair"] * recipe.pair_weight + found["mode"] * recipe.mode_weight
        torch.testing.assert_close(found["loss"], found[name] + rest, rtol=1e-4, atol=1e-5)
    assert weighted["weighted_nll"] != weighted["nll"]


def test_the_base_recipe_trains_a_dinov2_model(toy_data):
    """Narrow and with few pokes, on clips shorter than the published skip."""
    base = RECIPES["base"]
    recipe = replace(
        base,
        steps=2,
        warm_up=1,
        sampling=replace(base.sampling, images=2, pokes=4, queries=3, skips=(2,)),
        model=ModelConfig("dinov2_vits14_reg", image_size=28, width=64, depth=1),
    )
    trainer = tiny_trainer(recipe)
    before = weights(trainer)
    for loaded in batches(recipe, toy_data / "train"):
        found = trainer.train_step(loaded, measured=True)
    assert {"nll", "epe", "pck_0.1", "pck_0.01", "pck_0.001", "gradient_all"} <= set(found)
    assert "pair" not in found
    unmoved = {name for name, p in weights(trainer).items() if torch.equal(p, before[name])}
    assert {name.split(".", 1)[1] for name in unmoved} <= {
        "image_embedder.model.mask_token",
        "transformer.layers.0.cross_out.weight",
        "image_embedder.model.cls_token",
    }


def test_compiled_training_agrees_with_plain(toy_data):
    """With the compiler's first stage; the code that the last one writes takes minutes."""
    recipe = tiny_recipe(pair_steps=0, steps=1, warm_up=1)
    loaded = next(batches(recipe, toy_data / "train"))
    plain, compiled = tiny_trainer(recipe), tiny_trainer(recipe, compile="eager")
    expected, found = (trainer.train_step(loaded) for trainer in (plain, compiled))
    assert found == pytest.approx(expected, rel=1e-3)


def test_validation_is_the_same_every_time_and_shuffles_pictures(toy_data, tmp_path):
    recipe = tiny_recipe(steps=32, pair_steps=16, learning_rate=3e-3)
    data, val = toy_data / "train", toy_data / "val"
    loop = tiny_loop(recipe, data, tmp_path, val, encoder="imagenet", workers=1)
    first = loop.validation.measure(loop.trainer.averaged_loss)
    assert first == loop.validation.measure(loop.trainer.averaged_loss)
    loop.run(Stop())
    shipped = load_checkpoint(tmp_path / "model.safetensors", "cpu").config.motion_threshold
    assert shipped == loop.trainer.averaged_model.config.motion_threshold != 0.1
    last = loop.validation.measure(loop.trainer.averaged_loss)
    assert last["nll_one_poke"] < first["nll_one_poke"] - 0.1
    assert last["pair"] < 0.8 * last["pair_shuffled"]
    names = {"nll_no_poke", "nll_one_poke", "pair", "epe", "pck_0.1", "pck_0.01", "pck_0.001"}
    assert set(last) == names | {f"{name}_shuffled" for name in names}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_training_on_cuda(toy_data):
    recipe = tiny_recipe(pair_steps=1, steps=4, bfloat16=True)
    trainer = tiny_trainer(recipe, processes=Processes(device=torch.device("cuda")))
    for loaded in batches(recipe, toy_data / "train"):
        found = trainer.train_step(loaded, measured=True)
    assert found["nll"] < 100 and found["epe"] > 0
    assert trainer.state()["random"][0]["cuda"].numel() > 0
