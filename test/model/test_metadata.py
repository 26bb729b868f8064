# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint's metadata say: all that defines the model, and which format they are in."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import fpt_ros
from fpt_ros.model import (
    CheckpointError,
    ModelConfig,
    SmallModelConfig,
    build_model,
    load_checkpoint,
    save_checkpoint,
)
from fpt_ros.model.metadata import config_from_metadata, config_to_metadata

PLAIN = ModelConfig("efficientnet_lite0", image_size=64, width=64, depth=1)
SMALL = SmallModelConfig(image_size=64, width=64, depth=1, horizon=0.5, license="MIT")
OTHERWISE = {
    "modes": 2,
    "mode_width": 32,
    "reach": 0.3,
    "feature_channels": 96,
    "pair_channels": 16,
    "encoder_heads": 2,
    "pooling": 1,
    "encoder_norm_eps": 1e-3,
}
"""Another value for every setting that the small model alone has."""
SILENT = {"reach", "encoder_heads", "pooling", "encoder_norm_eps"}
"""Those of them that no entry's shape tells."""


def test_the_small_models_settings_are_all_tried():
    own = {field.name for field in fields(SmallModelConfig)} - {f.name for f in fields(ModelConfig)}
    assert own == OTHERWISE.keys()


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(license="CC-BY-NC-4.0"),
        ModelConfig("dinov2_vitg14"),
        PLAIN,
        SMALL,
        replace(SMALL, modes=0),
        *(replace(SMALL, **{name: value}) for name, value in OTHERWISE.items()),
    ],
)
def test_a_config_survives(config):
    metadata = config_to_metadata(config)
    assert all(type(text) is str for text in (*metadata, *metadata.values()))
    found = config_from_metadata(metadata)
    assert found == config and type(found) is type(config)


@torch.no_grad()
@pytest.mark.parametrize("name", sorted(SILENT))
def test_the_network_is_as_its_checkpoint_says(tmp_path, name):
    """Settings that no shape tells change the answers, and come back with the file."""
    torch.manual_seed(0)
    usual = build_model(SMALL).eval()
    for parameter in usual.parameters():
        parameter += 0.05 * torch.randn_like(parameter)
    other = build_model(replace(SMALL, **{name: OTHERWISE[name]})).eval()
    other.load_state_dict(usual.state_dict())
    save_checkpoint(other, tmp_path / "other.safetensors")
    loaded = load_checkpoint(tmp_path / "other.safetensors", "cpu", "float32")

    image, points = torch.rand(1, 3, 64, 64) * 2 - 1, torch.rand(1, 3, 2)
    wanted, unlike, found = (
        model.predict_parallel(points, points - 0.5, points, True, model.embed_image(image)).locs
        for model in (other, usual, loaded)
    )
    assert torch.equal(found, wanted)
    assert not torch.allclose(found, unlike, atol=1e-6)


def test_files_without_a_format_have_the_constants_of_their_time():
    """Format 1; the values are pinned here: they must never change."""
    old = asdict(ModelConfig("efficientnet_lite0", image_size=224, width=192, depth=4))
    config = config_from_metadata({"fpt_config": json.dumps(old | {"modes": 4, "flow_scale": 20})})
    assert asdict(config) == old | {
        "flow_scale": 20,
        "modes": 4,
        "mode_width": 192,
        "reach": 0.2,
        "feature_channels": 128,
        "pair_channels": 48,
        "encoder_heads": 4,
        "pooling": 2,
        "encoder_norm_eps": 1e-5,
    }
    plain = config_from_metadata({"fpt_config": json.dumps(old | {"modes": 0})})
    assert plain == ModelConfig(**old) and type(plain) is ModelConfig
    released = asdict(ModelConfig()) | {"modes": 0}
    assert config_from_metadata({"fpt_config": json.dumps(released)}) == ModelConfig()


def test_a_plain_transformer_keeps_its_encoder_when_the_defaults_change():
    """The file says how the small encoder was, though `ModelConfig` has no field for it."""
    metadata = config_to_metadata(PLAIN)
    values = json.loads(metadata["fpt_config"]) | {"pooling": 4}
    found = config_from_metadata(metadata | {"fpt_config": json.dumps(values)})
    assert found == SmallModelConfig(**asdict(PLAIN), modes=0, pooling=4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fpt_format": "3"}, "fpt_format is 3: this version of fpt_ros reads formats up to 2"),
        ({"fpt_format": "new"}, "fpt_format is new"),
        ({"fpt_model": "huge"}, "fpt_model is 'huge': must be one of published, small"),
        ({"fpt_model": None}, "fpt_model is None"),
        ({"fpt_config": None}, "no 'fpt_config': not saved by fpt_ros"),
        ({"fpt_config": "[]"}, r"fpt_config is '\[\]': must be a JSON object"),
        ({"fpt_config": '{"width": 64}'}, r"lacks the fields \['components', 'depth'"),
        ({"fpt_config": SMALL.to_json()[:-1] + ', "colour": 3}'}, r"unknown fields \['colour'\]"),
        ({"fpt_config": SMALL.to_json().replace("0.2", "-0.2")}, "reach is -0.2: must be"),
    ],
)
def test_bad_metadata_are_named(tmp_path, change, message):
    path = tmp_path / "small.safetensors"
    metadata = {k: v for k, v in (config_to_metadata(SMALL) | change).items() if v is not None}
    save_file({"weight": torch.zeros(1)}, path, metadata=metadata)
    with pytest.raises(CheckpointError, match=rf"small.safetensors: .*{message}"):
        load_checkpoint(path, "cpu")


def test_the_shipped_file_states_its_settings():
    embedded = load_checkpoint("embedded", "cpu")
    assert embedded.config == SmallModelConfig(license="Apache-2.0", motion_threshold=0.25)
    with safe_open(
        Path(fpt_ros.__file__).parent / "weights" / "embedded.safetensors", "pt"
    ) as file:
        assert file.metadata() == config_to_metadata(embedded.config)


def test_other_libraries_read_what_is_saved(tmp_path):
    embedded = load_checkpoint("embedded", "cpu", "float32")
    save_checkpoint(embedded, tmp_path / "mine.safetensors")
    found = load_file(tmp_path / "mine.safetensors")
    state = embedded.state_dict()
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)
    with safe_open(tmp_path / "mine.safetensors", "numpy") as file:
        assert file.metadata() == config_to_metadata(embedded.config)
