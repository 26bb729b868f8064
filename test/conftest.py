# SPDX-License-Identifier: Apache-2.0
"""What tests of all folders share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model with random weights, none of them zero, so that every input matters."""
    import torch

    from fpt_ros.model import ModelConfig, build_model, save_checkpoint

    torch.manual_seed(7)
    config = ModelConfig(
        encoder="efficientnet_lite0", image_size=64, width=64, depth=1, horizon=0.5
    )
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    model = build_model(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    save_checkpoint(model, path)
    return path


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model as ONNX files: what `fpt-export` writes, in a minute or two."""
    from fpt_ros.export.__main__ import main

    folder = tmp_path_factory.mktemp("exported")
    main(["--onnx", str(folder)])
    return folder
