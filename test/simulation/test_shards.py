"""The written data: format, reproducibility, interruption, and what is kept out of training."""

import json
import tarfile
from itertools import islice

import numpy as np
import pytest

from fpt_ros.simulation import flow, metaworld_scenes, shards, splits, things
from fpt_ros.simulation.unseen import UNSEEN


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small training split written by one process: three shards of five pictures."""
    out = tmp_path_factory.mktemp("one")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD", 5)
        shards.make_split(out, "train", 15, seed=4, size=64)
    return out / "train"


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*"))}


def test_files_and_names(made):
    assert list(contents(made)) == ["settings.json", *(f"shard-00000{i}.tar" for i in range(3))]
    with tarfile.open(made / "shard-000000.tar") as tar:
        names = tar.getnames()
    kinds = ["image.png", "points.npy", "flows.npy", "bodies.npy", "meta.json"]
    assert names == [f"shard-000000-{i:04d}.{kind}" for i in range(5) for kind in kinds]


def test_webdataset_reads_them(made):
    webdataset = pytest.importorskip("webdataset")
    url = str(made / "shard-000000.tar")
    samples = list(webdataset.WebDataset(url, shardshuffle=False).decode("rgb8"))
    assert len(samples) == 5
    assert samples[0]["image.png"].shape == (64, 64, 3)
    assert samples[0]["flows.npy"].shape == (4, 256, 2)


def test_samples(made):
    pictures = [p for shard in sorted(made.glob("*.tar")) for p in shards.read_shard(shard)]
    assert len(pictures) == 15
    for picture in pictures:
        assert picture.image.shape == (64, 64, 3)
        assert picture.image.std() > 5
        assert picture.points.shape == (256, 2) and picture.points.dtype == np.float32
        assert picture.flows.shape == (4, 256, 2) and picture.flows.dtype == np.float32
        assert picture.bodies.shape == (256,) and picture.bodies.dtype == np.int32
        on_pixels = picture.points * 64 - 0.5
        np.testing.assert_array_equal(on_pixels, on_pixels.round())
        assert on_pixels.min() >= 0 and on_pixels.max() <= 63
        assert (picture.flows[:, picture.bodies == 0] == 0).all()
        assert all(flow.worth_keeping(future) for future in picture.flows)
        assert picture.meta["source"] in ("metaworld", "procedural")
        assert len(picture.meta["dt"]) == len(picture.meta["kinds"]) == 4
        assert picture.meta["uniform"] == 96
    assert {p.meta["source"] for p in pictures} == {"metaworld", "procedural"}


def test_two_processes_write_the_same_bytes(made, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD", 5)
    shards.make_split(tmp_path, "train", 15, seed=4, size=64, workers=2)
    assert contents(tmp_path / "train") == contents(made)


def test_interrupted_run_continues(made, tmp_path, monkeypatch):
    """Stopped in the middle of the second shard: the first stays, nothing broken is left, and
    the next run gives what an uninterrupted one gives."""
    monkeypatch.setattr(shards, "SHARD", 5)
    scenes = shards.scene_pictures

    def stopping(split, numbers, size):
        pictures = scenes(split, numbers, size)
        if numbers[2] == 1:
            yield from islice(pictures, 3)
            raise KeyboardInterrupt
        yield from pictures

    monkeypatch.setattr(shards, "scene_pictures", stopping)
    with pytest.raises(KeyboardInterrupt):
        shards.make_split(tmp_path, "train", 15, seed=4, size=64)
    folder = tmp_path / "train"
    assert list(contents(folder)) == ["settings.json", "shard-000000.tar"]
    written = (folder / "shard-000000.tar").stat().st_mtime_ns
    (folder / "shard-000001.tar.part").write_bytes(b"left by a process that was killed")
    monkeypatch.setattr(shards, "scene_pictures", scenes)
    shards.make_split(tmp_path, "train", 15, seed=4, size=64)
    assert contents(folder) == contents(made)
    assert (folder / "shard-000000.tar").stat().st_mtime_ns == written


def test_folder_of_another_seed_is_refused(made):
    with pytest.raises(ValueError, match=r"'seed': 4.*'seed': 5"):
        shards.make_split(made.parent, "train", 15, seed=5, size=64)
    assert json.loads((made / "settings.json").read_text()) == {"seed": 4, "size": 64}


def test_unknown_split_is_refused(tmp_path):
    with pytest.raises(ValueError, match="split is 'test': must be one of train, val"):
        shards.make_split(tmp_path, "test", 1, seed=0)


def test_held_out_tasks_are_kept_from_training():
    training = set(splits.tasks("train"))
    held_out = set(splits.tasks("heldout_a")) | set(splits.tasks("heldout_b"))
    assert len(training) == 42 and len(held_out) == 8
    assert not training & held_out
    assert training | held_out == set(metaworld_scenes.all_tasks())
    assert not set(UNSEEN) & set(things.MECHANISMS)


@pytest.mark.parametrize(
    ("split", "scenes"),
    [("heldout_a", splits.KNOWN_OBJECTS), ("heldout_b", splits.UNSEEN_OBJECTS)],
)
def test_robot_splits_show_their_tasks(split, scenes):
    for picture in islice(shards.shard_pictures(split, 0, 0, 3, 64), 3):
        assert picture.meta["scene"] in scenes


def test_unseen_type_shows_and_moves_only_its_mechanisms():
    for picture in shards.shard_pictures("heldout_d", 0, 0, 4, 64):
        assert picture.meta["scene"].split("+")[0] in UNSEEN
        assert set(picture.meta["kinds"]) <= {"kinematic", "dynamics"}


def test_other_splits_are_other_scenes():
    first = {
        split: next(iter(shards.shard_pictures(split, 0, 0, 1, 64))).image.tobytes()
        for split in ("train", "val", "heldout_c")
    }
    assert len(set(first.values())) == 3
