# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from squares import write_squares

from fpt_ros.eval import segmenters
from fpt_ros.eval.cases import Cases
from fpt_ros.eval.reading import read_cases
from fpt_ros.model import FlowPokeTransformer, load_checkpoint


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def few_settings() -> Iterator[None]:
    """Of the segmenters, as to choose among all takes minutes."""
    with pytest.MonkeyPatch.context() as patch:
        for name, candidates in segmenters.CANDIDATES.items():
            patch.setitem(segmenters.CANDIDATES, name, candidates[1:3])
        yield


@pytest.fixture(scope="session")
def model(tiny_checkpoint: Path) -> FlowPokeTransformer:
    return load_checkpoint(tiny_checkpoint, device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_squares(tmp_path_factory.mktemp("squares"), clips=12)


@pytest.fixture(scope="session")
def cases(shard: Path) -> Cases:
    return read_cases("squares", [shard], None, 12)[0]
