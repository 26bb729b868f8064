# SPDX-License-Identifier: Apache-2.0
"""Shards as they come: foreign files, damage, other names. Grouped as WebDataset does."""

import io
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
import webdataset
from footage import fpt_data, moving

from fpt_ros.data.clips import Clip, SampleError, clip_files, parse_clip, parse_tracks
from fpt_ros.data.shards import files_below, find_shards, read_samples, sample_places, whole_samples
from fpt_ros.training.index import ShardIndex
from fpt_ros.training.sources import Source

FIXTURES = Path(__file__).parent / "fixtures"


def tar(path, entries):
    with tarfile.open(path, "w") as file:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


FILES = {name: name.encode() for name in ("video.mpg", "tracks.npy", "visibility.npy")}


def sample(key):
    return [(f"{key}.{kind}", content) for kind, content in FILES.items()]


@pytest.mark.parametrize("name", ["mac.tar", "with_readme.tar"])
def test_what_came_in(name, tmp_path):
    foreign = []
    [found] = read_samples(FIXTURES / name, foreign)
    clip = parse_clip(found)
    assert clip.key == "c000" and clip.tracks.shape[0] == len(clip.frames) == 8
    assert len(foreign) == (4 if name == "mac.tar" else 1)
    done = fpt_data("inspect", FIXTURES / name, "--out", tmp_path, "--skip", 5)
    assert done.returncode == 0 and "1, 1 of them usable" in done.stdout
    assert f"of no sample              {len(foreign)} files: " in done.stdout
    index = ShardIndex([Source((FIXTURES / name,))], quiet=True)
    assert len(index) == 1 and index.foreign == foreign
    done = fpt_data("track", FIXTURES / name, "--out", tmp_path / "out", "--points", 20)
    assert "1 clips written now, 0 sources or clips skipped" in done.stdout
    assert done.stderr.count("is of no sample: passed over") == len(foreign)


ENTRIES = {
    "plain": sample("a") + sample("b"),
    "folders": sample("x/a") + sample("y/a"),
    "upper case": [(f"A.{kind.upper()}", content) for kind, content in FILES.items()],
    "dots in folders": sample("v1.0/a"),
    "from here": sample("./a"),
    "more kinds": [("a.txt", b"a robot"), *sample("a"), ("a.json", b"{}")],
    "apart": [*sample("a"), *sample("b"), ("a.meta.json", b"{}")],
    "notes of macOS": [e for s in sample("a") for e in (("._" + s[0], b"mac"), s)],
    "hidden": [(".DS_Store", b"mac"), *sample("a")],
    "without a kind": [("README", b"read me"), *sample("a"), ("LICENSE", b"free")],
}


@pytest.mark.parametrize("entries", ENTRIES.values(), ids=ENTRIES)
def test_grouped_as_webdataset_does(tmp_path, entries):
    path = tar(tmp_path / "shard.tar", entries)
    theirs = [
        {k: v for k, v in one.items() if k not in ("__url__", "__local_path__")}
        for one in webdataset.WebDataset(str(path), shardshuffle=False)
    ]
    assert list(read_samples(path)) == theirs
    places = [(key, set(files)) for key, files in sample_places(path)]
    assert places == [(one["__key__"], set(one) - {"__key__"}) for one in theirs]


def test_foreign_files_with_a_kind_are_no_samples(tmp_path):
    """WebDataset would make samples of them, and two of what they part."""
    first, *others = sample("d/a")
    strange = ["notes.txt", "d/._a.tracks.npy", "x.jpg"]
    entries = [(name, b"-") for name in strange]
    path = tar(tmp_path / "shard.tar", [first, *entries[:2], *others, entries[2]])
    foreign = []
    assert list(read_samples(path, foreign)) == [{"__key__": "d/a"} | FILES]
    assert foreign == [f"{path}: {name}" for name in strange]


def test_two_samples_of_one_key_are_two(tmp_path):
    path = tar(tmp_path / "shard.tar", sample("a") + sample("a"))
    assert list(read_samples(path)) == [{"__key__": "a"} | FILES] * 2


@pytest.mark.parametrize("how", ["cut", "cut between files", "damaged"])
def test_a_shard_that_is_not_whole_gives_what_it_has(tmp_path, how):
    path = tar(tmp_path / "shard.tar", sample("a") + sample("b") + sample("c"))
    content, size = path.read_bytes(), 1024  # of a header and a block
    end = {"cut": 7 * size + 100, "cut between files": 7 * size, "damaged": 7 * size}[how]
    rest = b"" if how.startswith("cut") else b"\xa5" * 512 + content[end + 512 :]
    path.write_bytes(content[:end] + rest)
    found = []
    with pytest.raises(tarfile.ReadError, match=r"shard.tar is not a whole tar file"):
        for one in read_samples(path):
            found.append(one["__key__"])  # they count although an error follows
    assert found == ["a", "b"]
    index = ShardIndex([Source((path,))], quiet=True)
    assert len(index) == 2 and "shard.tar is not a whole tar file" in index.broken[0]


@pytest.mark.parametrize(
    ("content", "taken", "said"),
    [
        (lambda whole: whole[: 7 * 1024 + 100], ["a", "b"], "is not a whole tar file: .*taken: 2"),
        (lambda whole: b"", [], "is not a whole tar file: empty file; .*taken: 0"),
        (lambda whole: b"plain text\n" * 200, [], "is not a whole tar file: .*taken: 0"),
        (lambda whole: bytes(10240), [], "has no sample"),
    ],
    ids=["cut", "nothing", "text", "empty tar"],
)
def test_whatever_a_shard_is_one_line_says_it(tmp_path, content, taken, said):
    path = tar(tmp_path / "shard.tar", sample("a") + sample("b") + sample("c"))
    path.write_bytes(content(path.read_bytes()))
    problems = []
    assert [one["__key__"] for one in whole_samples(path, problems)] == taken
    [line] = problems
    assert re.fullmatch(rf"{path} {said}", line)


def npz():
    buffer = io.BytesIO()
    np.savez(buffer, np.zeros(3))
    return buffer.getvalue()


def pickled():
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], object), allow_pickle=True)
    return buffer.getvalue()


HUGE = b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999, 99999, 2), }"
HEADER = b"\x93NUMPY\x01\x00" + len(HUGE).to_bytes(2, "little") + HUGE


@pytest.mark.parametrize(
    "content",
    [b"", b"not an array", npz(), pickled(), HEADER, HEADER[:9], b"\x93NUMPY\x09\x00zz", b"PK\3\4"],
    ids=["nothing", "text", "npz", "pickle", "huge", "cut", "version", "zip"],
)
def test_arrays_that_are_none(content):
    with pytest.raises(SampleError, match=r"sample 'a': tracks.npy"):
        parse_tracks({"__key__": "a", "tracks.npy": content, "visibility.npy": content})


@pytest.mark.parametrize("meta", [b"[1]", b"nonsense", b"3", b"[" * 100_000, b"\xff\xfe"])
def test_a_meta_json_that_is_none(meta):
    files = clip_files(Clip("a", moving(2, size=32))) | {"meta.json": meta, "__key__": "a"}
    with pytest.raises(SampleError, match=r"sample 'a': meta.json"):
        parse_clip(files, tracked=False)


def test_folders_are_searched_through_links_and_once(tmp_path, caplog):
    disk, data = tmp_path / "disk", tmp_path / "data"
    for folder in (disk / "deep", data / "plain"):
        folder.mkdir(parents=True)
    wanted = [disk / "deep" / "a.tar", data / "plain" / "B.TAR"]
    for path in wanted:
        tar(path, sample("a"))
    (disk / "back").symlink_to(tmp_path)
    (data / "linked").symlink_to(disk)
    (data / "gone.tar").symlink_to(tmp_path / "nowhere")
    (data / "._B.tar").write_bytes(b"mac")
    (data / "folder.tar").mkdir()
    found = find_shards([data])
    assert sorted(path.resolve() for path in found) == sorted(wanted)
    assert [record.args[0].name for record in caplog.records] == ["._B.tar", "gone.tar"]
    names = [path.name for path in files_below(data)]
    assert sorted(names) == ["._B.tar", "B.TAR", "a.tar", "gone.tar"]
    with pytest.raises(FileNotFoundError, match=r"folder.tar: no such shard"):
        find_shards([data / "folder.tar"])
