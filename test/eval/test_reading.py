# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest
from squares import squares_clip, write_squares

from fpt_ros.data.clips import clip_files
from fpt_ros.data.shards import ShardWriter, find_shards, shard_path
from fpt_ros.eval.reading import choose_starts, find_sets, read_cases


def test_the_same_cases_each_time(shard, cases):
    again, skip = read_cases("squares", [shard], None, 12)
    assert skip == 1 and len(again) == len(cases)
    for one, other in zip(again.each, cases.each, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.pokes, other.pokes)
        np.testing.assert_array_equal(one.noise, other.noise)
    other_seed, _ = read_cases("squares", [shard], None, 12, seed=1)
    assert any(
        (one.pokes != other.pokes).any()
        for one, other in zip(other_seed.each, cases.each, strict=True)
    )


def test_cases_are_spread_over_clips_and_start_frames(shard):
    few, _ = read_cases("squares", [shard], 1, 5)
    assert len({case.key for case in few.each}) == 5
    assert few.each[0].key == "clip-000" and few.each[-1].key == "clip-011"
    many, _ = read_cases("squares", [shard], 1, 1000)
    of_each = [sum(c.key == key for c in many.each) for key in {c.key for c in many.each}]
    assert max(of_each) == 3 and len(many) <= 36
    assert [case.key for case in many.each] == sorted(case.key for case in many.each)


def test_what_moves_is_what_the_clip_says(cases):
    for case in cases.each:
        assert case.same_body.any() and (case.moving >= case.same_body).all()
        lengths = np.linalg.norm(case.flow[case.moving], axis=-1)
        assert (lengths > 0.01).all() and (case.flow[~case.moving] == 0).all()
        assert case.camera_static


def test_another_skip(shard):
    further, skip = read_cases("squares", [shard], 3, 100)
    assert skip == 3 and len({case.key for case in further.each}) == len(further)


def test_without_bodies(tmp_path):
    found, _ = read_cases("bare", [write_squares(tmp_path, 3, bodies=False)], None, 3)
    assert not any(case.same_body.any() for case in found.each)
    assert all(case.moving.any() for case in found.each)


def test_long_clips_have_the_skip_of_videos(tmp_path):
    shard = write_squares(tmp_path, 1, frames=27)
    assert read_cases("long", [shard], None, 3)[1] == 25
    # 26 frames to start from, and no more than a few of them.
    assert len(read_cases("long", [shard], 1, 100)[0]) == 3


def test_no_clip_is_long_enough(shard):
    with pytest.raises(ValueError, match=r"squares: .* the longest has 4: --skip 3 at most fits"):
        read_cases("squares", [shard], 25, 10)


def test_nothing_moves(tmp_path):
    with pytest.raises(ValueError, match=r"quiet: no point moves by more than 0\.005"):
        read_cases("quiet", [write_squares(tmp_path, 2, still=True)], None, 10)


def test_what_is_hidden_at_the_end_is_not_known_to_move(tmp_path):
    clip = squares_clip("clip", np.random.default_rng(0), bodies=False)
    moved = (clip.tracks != clip.tracks[0]).any((0, 2))
    clip.visibility[:, moved] = False
    clip.visibility[0] = True
    with ShardWriter(tmp_path / "hidden.tar") as writer:
        writer.add("clip", clip_files(clip))
    with pytest.raises(ValueError, match="hidden: no point moves"):
        read_cases("hidden", [tmp_path / "hidden.tar"], None, 10)


def test_too_few_tracks(tmp_path):
    clip = squares_clip("clip", np.random.default_rng(0))
    clip.visibility[:, 100:] = False
    with ShardWriter(tmp_path / "few.tar") as writer:
        writer.add("clip", clip_files(clip))
    with pytest.raises(ValueError, match=r"few: no frame .* has 128 visible tracks"):
        read_cases("few", [tmp_path / "few.tar"], None, 10)


def test_a_bad_sample_is_named_and_costs_only_itself(tmp_path, capsys):
    rng = np.random.default_rng(0)
    files = [clip_files(squares_clip(f"clip-{number}", rng)) for number in range(4)]
    files[0]["tracks.npy"] = b"nonsense"
    files[1]["video.mpg"] = b"nonsense"
    with ShardWriter(shard_path(tmp_path, 0)) as writer:
        for number, content in enumerate(files):
            writer.add(f"clip-{number}", content)
    found, _ = read_cases("set", [shard_path(tmp_path, 0)], None, 100)
    assert {case.key for case in found.each} == {"clip-2", "clip-3"}
    said = capsys.readouterr().err
    assert "left out: sample 'clip-0': tracks.npy" in said
    assert "left out: sample 'clip-1': video.mpg" in said


def test_files_of_no_sample_and_empty_shards_are_named(tmp_path, capsys):
    shard = write_squares(tmp_path, 2)
    with tarfile.open(tmp_path / "strange.tar", "w") as tar:
        for name in ("README", "a.jpg"):
            tar.addfile(tarfile.TarInfo(name))
    tarfile.open(tmp_path / "empty.tar", "w").close()
    found, _ = read_cases("set", find_shards([tmp_path]), 1, 10)
    assert {case.key for case in found.each} == {"clip-000", "clip-001"}
    said = capsys.readouterr().err
    assert f"left out: {tmp_path}/empty.tar has no sample" in said
    assert f"left out: 2 files of no sample: {tmp_path}/strange.tar: README, " in said
    shard.unlink()
    with pytest.raises(ValueError, match="set: there is no sample in its shards"):
        read_cases("set", find_shards([tmp_path]), None, 10)


def test_clips_that_were_never_tracked(tmp_path):
    files = clip_files(squares_clip("clip", np.random.default_rng(0)))
    del files["tracks.npy"]
    with ShardWriter(tmp_path / "shard.tar") as writer:
        writer.add("clip", files)
    with pytest.raises(ValueError, match=r"sample 'clip' lacks tracks\.npy"):
        read_cases("raw", [tmp_path / "shard.tar"], None, 10)


def test_sets_by_name(tmp_path: Path):
    for name in ("b", "a"):
        write_squares(tmp_path / "all" / name, 1)
    alone = write_squares(tmp_path / "c", 1)
    found = find_sets([tmp_path / "all", tmp_path / "c", alone.rename(tmp_path / "c" / "d.tar")])
    assert list(found) == ["a", "b", "c", "d"]
    assert found["a"] == [tmp_path / "all" / "a" / "shard-000000.tar"]
    assert list(find_sets([tmp_path / "all", tmp_path / "all" / "a"])) == ["a", "b"]
    write_squares(tmp_path / "all" / "more" / "a", 1)
    with pytest.raises(ValueError, match="two sets are called 'a'"):
        find_sets([tmp_path / "all"])
    with pytest.raises(FileNotFoundError, match="nowhere"):
        find_sets([tmp_path / "nowhere"])


def test_starts_are_chosen_from_all_parts():
    starts = [[0, 2, 4], [], [1], [0, 1, 3]]
    assert choose_starts(starts, 100, 0) == starts
    two = choose_starts(starts, 2, 0)
    assert [len(found) for found in two] == [1, 0, 0, 1]
    assert choose_starts(starts, 2, 0) == two
    assert sum(map(len, choose_starts(starts, 5, 0))) == 5
