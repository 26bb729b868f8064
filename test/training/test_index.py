# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil
import tarfile

import pytest
from tiny import index_of

from fpt_ros.data.clips import SampleError
from fpt_ros.data.shards import ShardWriter, read_samples, shard_path
from fpt_ros.training.index import KINDS


def test_every_sample_is_read_as_it_was_written(toy_data):
    train = toy_data / "train"
    index = index_of(train)
    written = [sample for number in (0, 1) for sample in read_samples(shard_path(train, number))]
    assert len(index) == len(written) == 40
    for number in (39, 0, 17):  # in any order
        expected = {kind: written[number][kind] for kind in ("__key__", *KINDS)}
        assert index.read(number) == expected
    assert index.name(0) == f"{train}/shard-000000.tar: 000-0000"


def test_long_names_and_folders_are_keys(tmp_path):
    key = "a/" + "long" * 60
    with ShardWriter(shard_path(tmp_path, 0)) as writer:
        writer.add(key, {name: name.encode() for name in KINDS})
    assert index_of(tmp_path).read(0)["__key__"] == key


def test_equal_samples_have_one_fingerprint_wherever_they_lie(toy_data, tmp_path):
    copy = shutil.copytree(toy_data / "train", tmp_path / "copy")
    fingerprint = index_of(toy_data / "train").fingerprint
    assert index_of(copy).fingerprint == fingerprint
    shard_path(copy, 1).unlink()
    assert index_of(copy).fingerprint != fingerprint


def test_files_that_are_missing_or_cut_off_are_named(tmp_path):
    path = shard_path(tmp_path, 0)
    with ShardWriter(path) as writer:
        writer.add("a", {"video.mpg": b"v", "meta.json": b"{}"})
        writer.add("b", {name: bytes(2000) for name in KINDS})
    index = index_of(tmp_path)
    with pytest.raises(SampleError, match=r"sample 'a' lacks tracks.npy, visibility.npy"):
        index.read(0)
    with path.open("r+b") as file:
        file.truncate(3000)
    with pytest.raises(SampleError, match=r"sample 'b': video.mpg is cut off"):
        index.read(1)
    path.unlink()
    with pytest.raises(SampleError, match=r"sample 'b': .*No such file"):
        index.read(1)


def test_a_shard_that_is_not_whole_costs_what_it_lacks(toy_data, tmp_path):
    copy = shutil.copytree(toy_data / "train", tmp_path / "copy")
    with shard_path(copy, 0).open("r+b") as file:
        file.truncate(shard_path(copy, 0).stat().st_size // 2)
    index = index_of(copy)
    assert 25 < len(index) < 35  # about half of the 20 in the first, and those in the second
    assert [text.split(" ")[0] for text in index.broken] == [str(shard_path(copy, 0))]
    for number in range(len(index)):
        index.read(number)


def test_a_broken_shard_and_an_empty_folder_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        index_of(tmp_path)
    (tmp_path / "shard-000000.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(tarfile.ReadError, match=r"shard-000000.tar is not a whole tar file"):
        index_of(tmp_path)
