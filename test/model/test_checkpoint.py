# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in every form, and what becomes of bad ones."""

import dataclasses
import hashlib
import logging
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fpt_ros.model import (
    ENCODERS,
    CheckpointError,
    FlowPokeTransformer,
    ModelConfig,
    load_checkpoint,
    save_checkpoint,
)
from fpt_ros.model.released import infer_config

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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"weight": torch.zeros(1)}, "pos_embed' is missing: not a state dict of the released"),
        ({"epoch": 3}, r"no state dict, neither at its top nor as its entry 'model' .*'epoch'"),
        ([torch.zeros(1)], "holds a list: must be a state dict"),
        ({3: torch.zeros(1)}, "entry 3 is a Tensor"),
        ({"model": {"weight": torch.zeros(1)}, "recipe": {}}, "take the model.safetensors beside"),
        ({"image_embedder.model.trunk.stem.weight": torch.zeros(1)}, "the small model, whose set"),
    ],
)
def test_what_holds_no_released_state_dict_is_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(tmp_path / "other.pt")


@pytest.mark.parametrize(
    ("file", "wrap", "prefix"),
    [
        ("bare.pth", lambda state: state, ""),
        ("ddp.pt", lambda s: {"model": {f"module._orig_mod.{n}": v for n, v in s.items()},
                              "optimizer": {"state": {0: {"step": 3}}}}, "module._orig_mod."),
        ("lightning.pt", lambda s: {"state_dict": {f"model.{n}": v for n, v in s.items()}},
         "model."),
    ],
)  # fmt: skip
def test_bare_and_wrapped_state_dicts_load(released, tmp_path, caplog, file, wrap, prefix):
    state = torch.load(released, weights_only=True)["model"]
    torch.save(wrap(state), tmp_path / file)
    with caplog.at_level(logging.INFO, "fpt_ros"):
        model = load_checkpoint(tmp_path / file, "cpu", image_size=56, horizon=0.5, license="MIT")
    assert model.config == dataclasses.replace(
        RELEASED_LIKE, image_size=56, horizon=0.5, license="MIT"
    )
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert (f"took the prefix {prefix!r} off" in caplog.text) == bool(prefix)


@pytest.mark.parametrize("encoder", [name for name in ENCODERS if name.startswith("dinov2")])
def test_every_encoder_is_known_by_its_entries(encoder):
    config = ModelConfig(encoder, width=64, depth=1, components=3)
    with torch.device("meta"):
        state = FlowPokeTransformer(config).state_dict()
    assert infer_config(state) == config


def test_files_of_torch_before_zip_load(released, tmp_path):
    state = torch.load(released, weights_only=True)["model"]
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert load_checkpoint(tmp_path / "old.pt", "cpu").config == RELEASED_LIKE


def test_an_unknown_prefix_is_named(released, tmp_path):
    state = torch.load(released, weights_only=True)["model"]
    torch.save({f"net.{name}": value for name, value in state.items()}, tmp_path / "net.pt")
    with pytest.raises(CheckpointError, match=r"take the prefix 'net\.' off the names"):
        load_checkpoint(tmp_path / "net.pt")


def test_a_safetensors_file_is_told_nothing(saved):
    with pytest.raises(CheckpointError, match=r"tiny.safetensors: it states its own image_size"):
        load_checkpoint(saved, image_size=56)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["released", "saved"])
def test_what_becomes_of_the_file_later_does_not_matter(request, tmp_path, kind):
    """Written over, and truncated, which kills a process that has it mapped."""
    whole = request.getfixturevalue(kind)
    path = tmp_path / whole.name
    shutil.copy(whole, path)
    model = load_checkpoint(path, "cpu", "float32")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    os.truncate(path, 0)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.provenance.sha256 == hashlib.sha256(whole.read_bytes()).hexdigest()


LOADING = """
import sys
from fpt_ros.model import load_checkpoint
def memory(kind):
    lines = open("/proc/self/status")
    return next(int(line.split()[1]) for line in lines if line.startswith(kind)) * 1024
def mapped_copies():  # whole, also those parts that have not been looked at
    ranges = [line.split()[0].split("-") for line in open("/proc/self/maps") if "memfd:" in line]
    return sum(int(end, 16) - int(start, 16) for start, end in ranges)
before, own, modules = memory("VmRSS"), memory("RssAnon"), len(sys.modules)
model = load_checkpoint(sys.argv[1], "cpu", sys.argv[2])
kept = memory("RssAnon") - own + mapped_copies()
print(memory("VmHWM") - before, kept, len(sys.modules) - modules)
"""


@pytest.mark.parametrize(
    ("file", "dtype", "peak", "kept"),
    [
        ("released.pt", "float32", 1.3, 1.3),
        ("training.pt", "float32", 1.7, 0.7),  # half of it are other things, which go
        ("saved.safetensors", "bfloat16", 1.8, 0.8),
    ],
)
def test_loading_takes_little_more_memory_than_the_weights(tmp_path, file, dtype, peak, kept):
    """In units of the file, which holds float32; and it does not load torch's compiler."""
    model = FlowPokeTransformer(ModelConfig("dinov2_vits14", width=768, depth=4))
    state = model.state_dict()
    if file == "saved.safetensors":
        save_checkpoint(model, tmp_path / file)
    elif file == "released.pt":
        torch.save({"model": state}, tmp_path / file)
    else:
        moments = {name: value.clone() for name, value in state.items()}
        torch.save({"model": state, "optimizer": moments}, tmp_path / file)
    command = [sys.executable, "-c", LOADING, str(tmp_path / file), dtype]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found_peak, found_kept, modules = map(int, done.stdout.split())
    size = (tmp_path / file).stat().st_size
    assert size > 200e6
    assert found_peak < peak * size and found_kept < kept * size
    assert modules < 50


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
    with pytest.raises(CheckpointError, match=r"must end in \.safetensors, \.pt or \.pth"):
        load_checkpoint(path)
    with pytest.raises(CheckpointError, match=r"must end in \.safetensors"):
        save_checkpoint(FlowPokeTransformer(TINY), path)


def test_models_of_all_kinds_are_saved(tmp_path):
    """Made in inference mode, wrapped by torch.compile, with weights that are not contiguous."""
    with torch.inference_mode():
        model = FlowPokeTransformer(TINY)
    model.out_mlp[1].weight.data = model.out_mlp[1].weight.data.T
    save_checkpoint(torch.compile(model), tmp_path / "model.safetensors")
    found = load_checkpoint(tmp_path / "model.safetensors", "cpu").state_dict()
    assert all(torch.equal(found[name], value) for name, value in model.state_dict().items())


def test_what_cannot_be_written_is_named_and_leaves_nothing(tmp_path):
    (tmp_path / "taken.safetensors").mkdir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "taken.safetensors", tmp_path / "file" / "model.safetensors"):
        with pytest.raises(CheckpointError, match=f"{path} cannot be written: "):
            save_checkpoint(FlowPokeTransformer(TINY), path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "taken.safetensors"]


def test_a_folder_is_no_checkpoint(tmp_path):
    (tmp_path / "folder.pt").mkdir()
    with pytest.raises(CheckpointError, match=r"folder.pt' is not a file"):
        load_checkpoint(tmp_path / "folder.pt")
