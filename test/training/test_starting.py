# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from tiny import OPTIONS, batches, tiny_recipe

from fpt_ros.model import (
    FlowPokeTransformer,
    ModelConfig,
    build_model,
    load_checkpoint,
    save_checkpoint,
)
from fpt_ros.training.__main__ import make_parser, make_recipe, starting_model
from fpt_ros.training.starting import (
    StartError,
    start_from_checkpoint,
    start_from_encoder,
    with_modes,
)
from fpt_ros.training.trainer import Trainer

DINO = ModelConfig("dinov2_vits14_reg", image_size=28, width=64, depth=1)


@pytest.fixture(scope="module")
def dinov2_file(tmp_path_factory):
    """As torch hub has them: the encoder's names without a prefix, weights made up."""
    torch.manual_seed(1)
    encoder = FlowPokeTransformer(DINO).image_embedder.model
    state = {name: torch.randn_like(value) for name, value in encoder.state_dict().items()}
    path = tmp_path_factory.mktemp("hub") / "dinov2_vits14_reg4_pretrain.pth"
    torch.save(state, path)
    return path


def test_an_encoder_starts_from_dinov2s_file(dinov2_file):
    model = start_from_encoder(DINO, str(dinov2_file))
    wanted = torch.load(dinov2_file, weights_only=True)
    found = model.image_embedder.model.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_dinov2_comes_from_torch_hubs_cache(dinov2_file, tmp_path, monkeypatch):
    """Under the name of the published file; so nothing is downloaded."""
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    (cache / dinov2_file.name).write_bytes(dinov2_file.read_bytes())
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    model = start_from_encoder(DINO, "auto")
    wanted = torch.load(dinov2_file, weights_only=True)["norm.bias"]
    assert torch.equal(model.image_embedder.model.norm.bias, wanted)


def test_weights_of_another_encoder_are_refused(dinov2_file, tmp_path):
    other = replace(DINO, encoder="dinov2_vits14")
    with pytest.raises(StartError, match="has unknown register_tokens: not this encoder's"):
        start_from_encoder(other, str(dinov2_file))
    with pytest.raises(StartError, match=r"encoder_weights is .*nowhere.pth.*Name a file"):
        start_from_encoder(DINO, str(tmp_path / "nowhere.pth"))
    with pytest.raises(StartError, match="dinov2_vits14_reg takes dinov2 or a file"):
        start_from_encoder(DINO, "imagenet")
    with pytest.raises(StartError, match="efficientnet_lite0 takes imagenet or none"):
        start_from_encoder(tiny_recipe().model, str(dinov2_file))


def test_weights_that_execute_code_are_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").write_text, ("yes",))

    torch.save({"norm.bias": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(StartError, match=r"evil.pth: Weights only load failed"):
        start_from_encoder(DINO, str(tmp_path / "evil.pth"))
    assert not (tmp_path / "ran").exists()


def start(*arguments: str):
    options = make_parser().parse_args(["--data=a", "--out=b", *OPTIONS[:1], *arguments])
    return starting_model(options, make_recipe(options))


def test_fine_tuning_keeps_the_embedded_models_architecture():
    model, recipe = start("--from=embedded", "--horizon=0.5", "--steps=3")
    embedded = load_checkpoint("embedded", "cpu", "float32")
    assert recipe.model == model.config == replace(embedded.config, horizon=0.5)
    state, wanted = model.state_dict(), embedded.state_dict()
    assert all(torch.equal(state[name], wanted[name]) for name in wanted)
    with pytest.raises(ValueError, match="depth, width: not to be chosen beside --from"):
        start("--from=embedded", "--depth=2", "--width=64")
    with pytest.raises(ValueError, match=r"license: what comes from embedded stays Apache-2.0"):
        start("--from=embedded", "--license=MIT")
    with pytest.raises(ValueError, match="--encoder-weights is given beside --from"):
        start("--from=embedded", "--encoder-weights=none")


@torch.no_grad()
def test_weights_without_modes_get_some_and_predict_the_same_at_first(tmp_path):
    torch.manual_seed(3)
    plain = start_from_encoder(replace(tiny_recipe().model, modes=0), "none").eval()
    save_checkpoint(plain, tmp_path / "plain.safetensors")
    model, recipe = start(f"--from={tmp_path / 'plain.safetensors'}", "--modes=3")
    assert recipe.model == replace(plain.config, modes=3)
    picture, points = torch.rand(1, 3, 64, 64) * 2 - 1, torch.rand(1, 5, 2)
    asked = points[:, :2], 0.1 * points[:, 2:4], points, True
    found, wanted = (
        m.eval().predict_parallel(*asked, m.embed_image(picture)) for m in (model, plain)
    )
    torch.testing.assert_close(found.locs, wanted.locs, atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match="modes is 3: the weights to start from have 2"):
        with_modes(start_from_encoder(replace(recipe.model, modes=2), "none"), 3)
    with pytest.raises(ValueError, match=r"modes is 3: .*'dinov2_vits14_reg': must be eff"):
        with_modes(FlowPokeTransformer(DINO), 3)


def test_the_same_weights_take_pictures_of_another_size():
    same, recipe = start("--from=embedded")
    larger, recipe = start("--from=embedded", "--image-size=256")
    assert recipe.model.image_size == larger.config.image_size == 256
    small, large = (m.image_embedder.model.position.detach() for m in (same, larger))
    side = same.config.image_size // 8
    table = large.transpose(1, 2).unflatten(2, (32, 32))
    back = F.interpolate(table, size=(side, side), mode="area").flatten(2).transpose(1, 2)
    assert F.cosine_similarity(back, small, dim=-1).mean() > 0.8
    other = "image_embedder.model.position"
    kept = {name: tensor for name, tensor in larger.state_dict().items() if name != other}
    assert all(torch.equal(same.state_dict()[name], tensor) for name, tensor in kept.items())
    with pytest.raises(ValueError, match="image_size is 100: must be a multiple of 32"):
        start("--from=embedded", "--image-size=100")


def test_a_file_of_the_released_layout_is_tuned(toy_data, tmp_path):
    torch.manual_seed(2)
    released = build_model(replace(DINO, image_size=448))
    torch.save({"model": released.state_dict()}, tmp_path / "released.pt")
    model, recipe = start(f"--from={tmp_path / 'released.pt'}")
    assert recipe.model == released.config
    assert torch.equal(model.out_mlp[1].weight, released.out_mlp[1].weight)
    sampling = replace(recipe.sampling, images=1, motions=1)
    recipe = replace(recipe, steps=1, pair_steps=0, warm_up=1, sampling=sampling)
    Trainer(model, recipe).train_step(next(batches(recipe, toy_data / "train")))
    assert not torch.equal(model.out_mlp[1].weight, released.out_mlp[1].weight)


def test_a_licence_comes_along(tmp_path):
    model = build_model(replace(tiny_recipe().model, license="CC-BY-NC-4.0"))
    save_checkpoint(model, tmp_path / "theirs.safetensors")
    tuned = start_from_checkpoint(str(tmp_path / "theirs.safetensors"), False)
    assert tuned.config.license == "CC-BY-NC-4.0"
