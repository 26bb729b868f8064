# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from tiny import batches, tiny_loop, tiny_recipe
from toy_clips import toy_clip

from fpt_ros.data.clips import SampleError, clip_files
from fpt_ros.data.shards import ShardWriter, shard_path
from fpt_ros.training.bad_samples import TooManyBadSamplesError, too_many
from fpt_ros.training.stopping import Stop


def write_shard(folder, good: int, bad: int):
    rng = np.random.default_rng(0)
    folder.mkdir()
    with ShardWriter(shard_path(folder, 0)) as writer:
        for number in range(good):
            writer.add(f"good-{number}", clip_files(toy_clip(rng, "")))
        for number in range(bad):
            files = clip_files(toy_clip(rng, ""))
            kind = ("video.mpg", "tracks.npy")[number % 2]
            writer.add(f"bad-{number}", {**files, kind: files[kind][:100]})
    return folder


def test_bad_samples_are_replaced_named_and_counted(tmp_path, capsys):
    data = write_shard(tmp_path / "data", 8, 2)
    recipe = tiny_recipe(steps=5, pair_steps=0)
    drawn, again = (list(batches(recipe, data)) for _ in range(2))
    names = [name for loaded in drawn for name in loaded.names]
    assert len(names) == 20 and all(": good-" in name for name in names)
    assert names == [name for loaded in again for name in loaded.names]
    loop = tiny_loop(recipe, data, tmp_path / "run", max_bad_share=0.5)
    loop.run(Stop())
    lines = (tmp_path / "run" / "bad_samples.txt").read_text().splitlines()
    assert len(lines) == 2, "each is named once"
    assert any("bad-0: sample 'bad-0': video.mpg" in line for line in lines)
    assert any("bad-1: sample 'bad-1': tracks.npy" in line for line in lines)
    assert loop.bad.bad >= 4 and loop.bad.read == 20 + loop.bad.bad
    shown = capsys.readouterr().out
    assert all(f"bad sample: {line}" in shown for line in lines)


def test_too_many_bad_samples_are_an_error(tmp_path):
    data = write_shard(tmp_path / "data", 8, 1)
    recipe = tiny_recipe(steps=40, images=32, motions=1, pair_steps=40)
    loop = tiny_loop(recipe, data, tmp_path / "run", max_bad_share=0.01)
    with pytest.raises(TooManyBadSamplesError, match=r"samples read are bad, more than the share"):
        loop.run(Stop())
    assert 2 <= loop.trainer.step < 20 and loop.bad.bad > 0.01 * loop.bad.read


def test_nothing_but_bad_samples_is_an_error_at_once(tmp_path):
    data = write_shard(tmp_path / "data", 0, 4)
    with pytest.raises(SampleError, match=r"20 bad samples in a row, the last: .*bad-"):
        next(batches(tiny_recipe(), data))


def test_healthy_data_is_not_stopped_by_chance():
    """As many runs as a large team makes, each judged whenever it reports."""
    rng = np.random.default_rng(0)
    for _ in range(300):
        bad = np.cumsum(rng.random((200, 32)) < 0.009, None)[31::32]
        read = 32 * np.arange(1, 201)
        assert not any(too_many(int(b), int(r), 0.01) for b, r in zip(bad, read, strict=True))


@pytest.mark.parametrize(("bad", "read", "stops"), [
    (1, 1, False), (2, 100, False), (4, 4, True), (20, 100, True), (300, 20_000, True),
    (200, 20_000, False),
])  # fmt: skip
def test_what_no_chance_explains_stops_soon(bad, read, stops):
    assert too_many(bad, read, 0.01) is stops
    assert too_many(bad, read, 0.0), "none is allowed"
    assert not too_many(bad, read, 1.0)
