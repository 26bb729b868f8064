"""Checkpoints in every form, and what becomes of bad ones."""

import logging
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fpt_ros.model import (
    CheckpointError,
    FlowPokeTransformer,
    ModelConfig,
    checkpoint,
    load_checkpoint,
    save_checkpoint,
)

# The released layout at a size that a test can afford; .pt files name no image size, so it is 448.
RELEASED_LIKE = ModelConfig("dinov2_vits14_reg", width=128, depth=2)
TINY = ModelConfig(
    "dinov2_vits14", image_size=56, width=64, depth=1, horizon=0.5, flow_scale=20.0, license="MIT"
)


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> Path:
    """A .pt file with the released names and shapes, as the released training saves it."""
    path = tmp_path_factory.mktemp("released") / "flow_poke_open_set_base.pt"
    torch.save({"model": FlowPokeTransformer(RELEASED_LIKE).state_dict(), "step": 7}, path)
    return path


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "tiny.safetensors"
    save_checkpoint(FlowPokeTransformer(TINY), path)
    return path


def hub_cache(root: Path, file: Path, repo: str, revision: str = "main") -> None:
    """A local hub cache that holds one file, as huggingface_hub lays it out."""
    folder = root / f"models--{repo.replace('/', '--')}"
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = folder / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / revision).write_text(commit)
    shutil.copy(file, snapshot / file.name)


@pytest.fixture
def empty_hub_cache(monkeypatch, tmp_path) -> Path:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_released_layout_loads_by_path(released):
    model = load_checkpoint(released, device="cpu")
    assert model.config == RELEASED_LIKE
    assert not model.training
    state = torch.load(released, weights_only=True)["model"]
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert len(model.provenance.sha256) == 64


def test_what_is_saved_loads_equal(saved, tmp_path):
    model = load_checkpoint(str(saved), device="cpu", dtype="float32")
    assert model.config == TINY
    assert model.provenance.license == "MIT"
    copy = tmp_path / "new" / "copy.safetensors"
    save_checkpoint(model, copy)
    first, second = load_file(saved), load_file(copy)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert list(copy.parent.iterdir()) == [copy]


def test_half_precision_keeps_the_frequencies_exact(saved):
    model = load_checkpoint(saved, device="cpu", dtype="bfloat16")
    assert model.dtype == torch.bfloat16
    fresh = FlowPokeTransformer(TINY)
    assert torch.equal(model.input_mlp.coeffs, fresh.input_mlp.coeffs)
    assert torch.equal(model.transformer.pos_emb.freqs, fresh.transformer.pos_emb.freqs)


@pytest.mark.parametrize("revision", ["main", "v1.2"])
def test_hub_works_offline_from_the_cache_at_any_revision(released, empty_hub_cache, revision):
    hub_cache(empty_hub_cache, released, "CompVis/flow-poke-transformer", revision)
    at = "" if revision == "main" else f"@{revision}"
    model = load_checkpoint(f"hub:CompVis/flow-poke-transformer{at}/{released.name}", device="cpu")
    assert model.provenance.license == "CC-BY-NC-4.0"


def test_the_non_commercial_licence_is_logged_once(released, empty_hub_cache, caplog):
    checkpoint._say_released_license.cache_clear()
    hub_cache(empty_hub_cache, released, "CompVis/flow-poke-transformer")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            load_checkpoint(f"hub:CompVis/flow-poke-transformer/{released.name}", device="cpu")
    said = [record for record in caplog.records if "non-commercial" in record.message]
    assert len(said) == 1


def test_a_hub_file_that_is_not_cached_names_the_command(empty_hub_cache):
    with pytest.raises(CheckpointError, match=r"hf download some/model folder/file\.pt"):
        load_checkpoint("hub:some/model/folder/file.pt")


@pytest.mark.parametrize("source", ["hub:model.pt", "hub:a/b", "hub:a/b/c.ckpt", "hub:a/b@/c.pt"])
def test_a_malformed_hub_source_is_refused(source):
    with pytest.raises(CheckpointError, match="must read hub:OWNER/NAME"):
        load_checkpoint(source)


def test_a_missing_file_says_what_is_allowed():
    with pytest.raises(CheckpointError, match=r"'nowhere.pt' is not a file: must be 'embedded'"):
        load_checkpoint("nowhere.pt")


def test_a_malicious_pickle_runs_nothing(tmp_path):
    class Malicious:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "was-run"),)

    path = tmp_path / "malicious.pt"
    torch.save({"model": {"cond_emb.weight": Malicious()}}, path)
    with pytest.raises(CheckpointError, match="nothing in it was run"):
        load_checkpoint(path)
    path.write_bytes(pickle.dumps(Malicious()))
    with pytest.raises(CheckpointError):
        load_checkpoint(path)
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
@pytest.mark.parametrize("kind", ["released", "saved"])
def test_truncated_files_are_refused(request, tmp_path, kind, share):
    whole = request.getfixturevalue(kind)
    path = tmp_path / whole.name
    path.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
    with pytest.raises(CheckpointError, match=whole.name):
        load_checkpoint(path)


def change_released(released: Path, path: Path, change) -> Path:
    content = torch.load(released, weights_only=True)
    change(content["model"])
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("transformer.layers.0.ffn_up.weight"),
         "1 entries are missing: transformer.layers.0.ffn_up.weight"),
        (lambda s: s.update(extra=torch.zeros(1)), "1 entries are unknown: extra"),
        (lambda s: s.update({"out_mlp.1.weight": torch.zeros(3, 3)}),
         r"'out_mlp.1.weight' has shape \(3, 3\): must be \(128, 128\)"),
        (lambda s: s["out_mlp.1.bias"].fill_(torch.nan), "'out_mlp.1.bias' holds values"),
        (lambda s: s.update({"out_mlp.1.bias": torch.zeros(128, dtype=torch.int64)}),
         "'out_mlp.1.bias' is torch.int64"),
        (lambda s: s.update({"out_mlp.1.bias": 3.0}), "'out_mlp.1.bias' is a float"),
        (lambda s: s.pop("cond_emb.weight"), "cond_emb.weight"),
        (lambda s: s.update({"image_embedder.model.pos_embed": torch.zeros(1, 1370, 5)}),
         "5 channels"),
    ],
)  # fmt: skip
def test_a_mismatch_names_the_entry(released, tmp_path, change, message):
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(change_released(released, tmp_path / "changed.pt", change))


def test_a_bare_state_dict_says_what_is_missing(tmp_path):
    torch.save({"weight": torch.zeros(1)}, tmp_path / "bare.pt")
    with pytest.raises(CheckpointError, match="entry 'model'"):
        load_checkpoint(tmp_path / "bare.pt")


def test_safetensors_without_or_with_a_bad_config(saved, tmp_path):
    path = tmp_path / "other.safetensors"
    save_file(load_file(saved), path)
    with pytest.raises(CheckpointError, match="fpt_config"):
        load_checkpoint(path)
    for text in ('{"depth": -1}', "no json", "[]", '{"depth": [1]}'):
        save_file(load_file(saved), path, metadata={"fpt_config": text})
        with pytest.raises(CheckpointError, match="bad 'fpt_config'"):
            load_checkpoint(path)


@pytest.mark.parametrize("device", ["gpu", "meta", "cuda:99"])
def test_a_bad_device_is_named(saved, device):
    with pytest.raises(ValueError, match=f"device is '{device}'"):
        load_checkpoint(saved, device=device)


def test_a_bad_dtype_is_named(saved):
    with pytest.raises(ValueError, match="dtype is 'int8': must be auto, float32"):
        load_checkpoint(saved, dtype="int8")


def test_a_bad_ending_is_named(tmp_path):
    path = tmp_path / "model.ckpt"
    path.touch()
    with pytest.raises(CheckpointError, match=r"must end in \.pt or \.safetensors"):
        load_checkpoint(path)
    with pytest.raises(CheckpointError, match=r"must end in \.safetensors"):
        save_checkpoint(FlowPokeTransformer(TINY), path)


def test_torch_hub_offers_the_same(saved):
    root = str(Path(__file__).parents[2])
    model = torch.hub.load(root, "fpt", source="local", checkpoint=str(saved), device="cpu")
    assert model.config == TINY
    predictor = torch.hub.load(
        root, "fpt_predictor", source="local", checkpoint=str(saved), device="cpu"
    )
    assert predictor.info.checkpoint == str(saved)
