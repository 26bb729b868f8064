# SPDX-License-Identifier: Apache-2.0
"""`torch.hub.load` of this repository."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import hubconf
from fpt_ros.model import CheckpointError, ModelConfig, SmallModelConfig

ROOT = str(Path(__file__).parents[1])
TINY = {"encoder": "efficientnet_lite0", "image_size": 64, "width": 64, "depth": 1}


def load(entry: str, *arguments: object, **keywords: object):
    return torch.hub.load(ROOT, entry, *arguments, source="local", **keywords)


def test_the_entry_points_are_what_torch_hub_lists():
    """All public callables of the file."""
    entries = {name for name, value in vars(hubconf).items() if callable(value) and name[0] != "_"}
    assert entries == {"fpt", "fpt_predictor", "fpt_released", "fpt_small"}
    assert all(getattr(hubconf, name).__doc__ for name in entries)


def test_pretrained_models(tiny_checkpoint):
    model = load("fpt", checkpoint=str(tiny_checkpoint), device="cpu")
    assert model.config == ModelConfig(**TINY, horizon=0.5) and not model.training
    small = load("fpt_small", device="cpu")
    assert small.config.license == "Apache-2.0" and small.provenance.source == "embedded"
    predictor = load("fpt_predictor", checkpoint=str(tiny_checkpoint), device="cpu")
    assert predictor.info.checkpoint == str(tiny_checkpoint)


def test_untrained_models_by_their_settings():
    model = load("fpt", pretrained=False, device="cpu", **TINY)
    assert model.config == ModelConfig(**TINY)
    assert model.training and model.provenance is None and model.dtype == torch.float32
    other = load("fpt", False, device="cpu", dtype="bfloat16", **TINY)
    assert other.dtype == torch.bfloat16
    assert not torch.equal(other.out_mlp[1].weight.float(), model.out_mlp[1].weight)
    small = load("fpt_small", pretrained=False, device="cpu", image_size=64, modes=2)
    assert small.config == SmallModelConfig(image_size=64, modes=2) and small.modes.count == 2
    published = load("fpt_released", pretrained=False, device="cpu", depth=1, width=64,
                     encoder="dinov2_vits14_reg")  # fmt: skip
    assert published.config == ModelConfig("dinov2_vits14_reg", depth=1, width=64)


def test_settings_that_do_not_fit_are_named(tiny_checkpoint):
    with pytest.raises(ValueError, match="depth is 0"):
        load("fpt", pretrained=False, **{**TINY, "depth": 0})
    with pytest.raises(TypeError, match="colour"):
        load("fpt", pretrained=False, colour=3)
    with pytest.raises(TypeError, match="width"):
        load("fpt", checkpoint=str(tiny_checkpoint), width=64)
    with pytest.raises(CheckpointError, match="it states its own image_size"):
        load("fpt", checkpoint=str(tiny_checkpoint), image_size=64)


IMPORTS = """
import importlib, sys
source = open("hubconf.py").read().split("dependencies = ")[1].split("\\n")[0]
for name in eval(source):
    importlib.import_module(name)
importlib.import_module("safetensors.torch")
before = {name.split(".")[0] for name in sys.modules}
import hubconf
print(*{name.split(".")[0] for name in sys.modules} - before - set(sys.stdlib_module_names))
"""


def test_the_dependencies_are_all_that_is_imported():
    command = [sys.executable, "-c", IMPORTS]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert set(done.stdout.split()) == {"fpt_ros", "hubconf"}
