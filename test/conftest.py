# SPDX-License-Identifier: Apache-2.0
"""What tests of all folders share."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

EXPORT = pytest.StashKey[tuple[subprocess.Popen, Path]]()


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
def exported(request: pytest.FixtureRequest) -> Path:
    """The embedded model as ONNX files: what `fpt-export` writes, in a minute or two."""
    export, folder = request.config.stash[EXPORT]
    said, _ = export.communicate(timeout=600)
    assert export.returncode == 0, said
    return folder


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin the export that tests will ask for, with the time that the tests before them leave."""
    if session.config.option.collectonly:
        return
    if any("exported" in getattr(item, "fixturenames", ()) for item in session.items):
        folder = Path(tempfile.mkdtemp(prefix="exported-"))
        session.config.add_cleanup(functools.partial(shutil.rmtree, folder))
        command = ["nice", "-n", "19", sys.executable, "-m", "fpt_ros.export", "--onnx", folder]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        export = subprocess.Popen(command, **pipes)
        session.config.add_cleanup(export.kill)
        session.config.stash[EXPORT] = export, folder
