# SPDX-License-Identifier: Apache-2.0
"""Waits for batches: none without an end, and none where shared memory is too small for them."""

from __future__ import annotations

import os
import signal
import time

import pytest
import torch
from tiny import index_of, tiny_loop, tiny_recipe
from torch.utils.data import DataLoader, Dataset

from fpt_ros.training import dataset
from fpt_ros.training.dataset import MomentDataset
from fpt_ros.training.index import ShardIndex
from fpt_ros.training.loading import LoadingError, batches, check_shared_memory
from fpt_ros.training.order import Order
from fpt_ros.training.sources import Source
from fpt_ros.training.stopping import Stop


class Stuck(Dataset):
    """Numbers; the one at `at` never comes, or ends the process that prepares it."""

    def __init__(self, at: int, dies: bool = False) -> None:
        self.at, self.dies = at, dies

    def __getitem__(self, number: int) -> int:
        if number == self.at:
            os.kill(os.getpid(), signal.SIGKILL) if self.dies else time.sleep(60)
        return number

    def __len__(self) -> int:
        return 10


def loader(dataset: Dataset) -> DataLoader:
    return DataLoader(dataset, num_workers=1, timeout=0.2)


def test_all_that_come():
    found = [batch.item() for batch in batches(loader(Stuck(-1)), lambda: True)]
    assert found == list(range(10))


def test_a_batch_that_never_comes_is_given_up():
    arriving = batches(loader(Stuck(3)), lambda: False, longest=1.0)
    assert [next(arriving).item() for _ in range(3)] == [0, 1, 2]
    start = time.monotonic()
    with pytest.raises(LoadingError, match="no batch came for 1 s"):
        next(arriving)
    assert time.monotonic() - start < 20


def test_a_training_that_is_stopped_does_not_wait_on():
    stopped = []
    arriving = batches(loader(Stuck(2)), lambda: bool(stopped))
    assert [next(arriving).item() for _ in range(2)] == [0, 1]
    stopped.append("SIGTERM")
    assert next(arriving, None) is None


class StuckIndex(ShardIndex):
    """No sample can be read any more after the first dozen."""

    def read(self, number):
        self.reads = getattr(self, "reads", 0) + 1
        if self.reads > 12:
            time.sleep(60)
        return super().read(number)


def test_a_stopped_training_saves_what_it_has(toy_data, tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "PATIENCE", 0.5)
    loop = tiny_loop(tiny_recipe(), toy_data / "train", tmp_path, workers=1)
    loop.index = StuckIndex([Source((toy_data / "train",))], quiet=True)
    assert not loop.run(Stop(hours=4 / 3600))
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert saved["step"] == loop.trainer.step < 8


def test_a_process_that_dies_is_named():
    arriving = batches(loader(Stuck(1, dies=True)), lambda: False)
    with pytest.raises(LoadingError, match="preparing batches: DataLoader worker"):
        list(arriving)


def test_shared_memory_that_is_too_small_is_found_at_the_start(toy_data):
    recipe = tiny_recipe()
    index = index_of(toy_data / "train")
    moments, first = MomentDataset(index, recipe), next(iter(Order(*index.portions, recipe)))
    check_shared_memory(moments, first, 2)
    check_shared_memory(moments, first, 0)
    with pytest.raises(LoadingError, match=r"/dev/shm has [0-9]+ MB free, batches of .*--shm-size"):
        check_shared_memory(moments, first, 10**9)
