from __future__ import annotations

from pathlib import Path

import pytest
import torch
from toy import write_toy_split

from fpt_ros.training.scenes import Scene, load_scenes


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def toy_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    write_toy_split(folder / "train", shards=2, pictures=20, seed=0)
    write_toy_split(folder / "val", shards=1, pictures=12, seed=1)
    return folder


@pytest.fixture(scope="session")
def toy_scenes(toy_data: Path) -> list[Scene]:
    return load_scenes(toy_data / "train")
