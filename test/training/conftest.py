# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from toy_clips import write_toy_shards


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def toy_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders train, val, and real, whose bodies are not known."""
    folder = tmp_path_factory.mktemp("toy")
    write_toy_shards(folder / "train", shards=2, clips=20, seed=0)
    write_toy_shards(folder / "val", shards=1, clips=12, seed=1)
    write_toy_shards(folder / "real", shards=1, clips=8, seed=2, bodies=False)
    return folder
