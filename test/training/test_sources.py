# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import numpy as np
import pytest
from tiny import tiny_recipe
from toy_clips import toy_clip, write_toy_shards

from fpt_ros.data.clips import SampleError, clip_files
from fpt_ros.data.shards import ShardWriter, shard_path
from fpt_ros.training.dataset import MomentDataset
from fpt_ros.training.index import ShardIndex
from fpt_ros.training.order import Request
from fpt_ros.training.recipes import Sampling
from fpt_ros.training.sources import Source, read_sources


def write(folder, text: str):
    path = folder / "sources.yaml"
    path.write_text(text)
    return path


def test_a_file_of_sources_is_read(tmp_path):
    path = write(
        tmp_path,
        """
simulated:
  data: sim/train
  skips: [1, -1]
  weight: 2
my robot:
  data: [monday, /mnt/tuesday]
  horizon: 0.5
  weight: 1
  camera: static
""",
    )
    simulated, mine = read_sources([path])
    assert simulated == Source((tmp_path / "sim/train",), skips=(1, -1), weight=2)
    assert mine.data == (tmp_path / "monday", type(path)("/mnt/tuesday"))
    assert (mine.horizon, mine.weight, mine.camera) == (0.5, 1, "static")
    plain = [tmp_path / "a", tmp_path / "b.tar"]
    assert read_sources(plain) == [Source(tuple(plain))]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[1", "cannot be read as YAML"),
        ("- a", "must be sources by name"),
        ("a: {skips: 1}", "a: must have data, and may have skips, horizon, weight, camera"),
        ("a: {data: b, skip: 1}", "a: skip: unknown, must be of data, skips"),
        ("a: {data: b, skips: [0]}", r"a: skips is \[0\]: must be integers other than 0"),
        ("a: {data: b, skips: [1.5]}", r"a: skips is \[1.5\]: must be integers"),
        ("a: {data: b, horizon: -1}", "a: horizon is -1: must be a number from 0"),
        ("a: {data: b, weight: .nan}", "a: weight is nan: must be a number"),
        ("a: {data: b, weight: much}", "a: weight is 'much': must be a number"),
        ("a: {data: b, camera: moves}", "a: camera is 'moves': must be one of tracks, static, mo"),
        ("a: {data: b, skips: 1, horizon: 1}", "skips and horizon are both given"),
        ("a: {data: b, weight: 1}\nc: {data: d}", "weight must be given to every source, or to no"),
    ],
)
def test_what_is_wrong_in_it_is_named(tmp_path, text, complaint):
    with pytest.raises(ValueError, match=f"sources.yaml.*{complaint}"):
        read_sources([write(tmp_path, text)])


def test_a_file_of_sources_stands_alone(tmp_path):
    path = write(tmp_path, "a: {data: b}")
    with pytest.raises(ValueError, match="a file of sources stands alone"):
        read_sources([path, tmp_path])
    with pytest.raises(FileNotFoundError, match=r"nowhere\.yaml"):
        read_sources([tmp_path / "nowhere.yaml"])


def sample(rate: object) -> dict:
    return {"__key__": "k", "meta.json": json.dumps({"rate": rate}).encode()}


@pytest.mark.parametrize(("rate", "skip"), [(10, 5), (30.0, 15), (29.97, 15), (0.1, 1)])
def test_a_horizon_in_seconds_suits_each_clips_rate(rate, skip):
    source = Source(data=("x",), horizon=0.5)
    assert source.sampling(sample(rate), Sampling()).skips == (skip,)


@pytest.mark.parametrize("rate", [None, 0, "fast", True])
def test_a_horizon_in_seconds_needs_a_rate(rate):
    with pytest.raises(SampleError, match="must be frames a second, for a horizon in seconds"):
        Source(data=("x",), horizon=0.5).sampling(sample(rate), Sampling())


@pytest.fixture
def two_sources(toy_data, tmp_path) -> ShardIndex:
    """Toy clips, and such of 5 frames a second from a camera that is said to move."""
    with ShardWriter(shard_path(tmp_path, 0)) as writer:
        for number in range(3):
            files = clip_files(toy_clip(np.random.default_rng(number), "", bodies=False))
            writer.add(f"mine-{number}", files | {"meta.json": b'{"rate": 5}'})
    toys = Source((toy_data / "train",), skips=(-1,))
    mine = Source((tmp_path,), horizon=0.4, camera="moving")
    return ShardIndex([toys, mine], quiet=True)


def test_each_clip_is_asked_as_its_source_says(two_sources):
    index, recipe = two_sources, tiny_recipe(steps=4)
    assert [len(numbers) for numbers in index.portions[0]] == [40, 3]
    dataset = MomentDataset(index, recipe)
    static = dataset[Request(0, 0, 0.0)].fields["camera_static"]
    assert static.all(), "nothing of the world moves"
    mine = dataset[Request(0, 41, 0.0)]
    assert ": mine-1" in mine.name and not mine.bad
    assert not mine.fields["camera_static"].any(), "it is said to move, though it seems not to"
    assert index.horizons(recipe.sampling) == [0.4]
    asked = {index.source(n).sampling(index.read(n), recipe.sampling).skips for n in (0, 41)}
    assert asked == {(-1,), (2,)}


def test_a_source_without_samples_is_named(toy_data, tmp_path):
    write_toy_shards(tmp_path / "empty", 1, 0, 0)
    with pytest.raises((ValueError, FileNotFoundError), match="empty"):
        ShardIndex([Source((toy_data / "train",)), Source((tmp_path / "empty",))], quiet=True)
