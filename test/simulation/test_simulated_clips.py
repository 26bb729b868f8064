# SPDX-License-Identifier: Apache-2.0
"""The written clips: what is in them, that they repeat byte by byte, and what is kept apart."""

from __future__ import annotations

import json
import sys
from itertools import islice

import cv2
import numpy as np
import pytest

from fpt_ros.data.claiming import SettingsError
from fpt_ros.data.clips import parse_clip
from fpt_ros.data.moments import FEWEST_TRACKS, read_moment, usable
from fpt_ros.data.shards import read_samples
from fpt_ros.simulation import __main__ as command
from fpt_ros.simulation import flow, making, metaworld_scenes, splits
from fpt_ros.simulation.filming import ON_BODIES, UNIFORM
from fpt_ros.simulation.mechanisms import MECHANISMS
from fpt_ros.simulation.unseen import UNSEEN

SETTINGS = {"seed": 4, "size": 64, "frames": 4}
CLIPS = 9
EACH = UNIFORM + ON_BODIES


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small training split written by one process: three shards of three clips."""
    out = tmp_path_factory.mktemp("one")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "SHARD", 3)
        making.make_split(out, "train", CLIPS, **SETTINGS)
    return out / "train"


@pytest.fixture(scope="module")
def clips(made):
    return [parse_clip(s) for shard in sorted(made.glob("*.tar")) for s in read_samples(shard)]


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*"))}


def filmed(split, count, size=64, frames=3, shard=0):
    return list(islice(making.shard_clips(split, 0, shard, size, frames), count))


def test_files_and_shapes(made, clips):
    assert list(contents(made)) == ["settings.json", *(f"shard-00000{i}.tar" for i in range(3))]
    names = ["shard-000000-0000", "shard-000000-0001", "shard-000000-0002", "shard-000001-0000"]
    assert [clip.key for clip in clips[:4]] == names
    for clip in clips:
        assert clip.frames.shape == (4, 64, 64, 3)
        assert clip.frames.std() > 5
        assert 3 * EACH < clip.tracks.shape[1] <= 4 * EACH
        assert clip.meta["camera"] in ("static", "moving")
        assert clip.meta["rate"] == 3
        assert len(clip.meta["events"]) == len(clip.meta["dt"]) == 3
        for kind, dt in zip(clip.meta["events"], clip.meta["dt"], strict=True):
            assert (kind == "kinematic") == (dt == 0)
    assert {clip.meta["source"] for clip in clips} == {"metaworld", "procedural"}
    kinds = {kind for clip in clips for kind in clip.meta["events"]}
    assert {"kinematic", "dynamics"} <= kinds


def test_every_frame_is_one_to_start_from(made, clips):
    for clip in clips:
        assert (usable(clip.tracks, clip.visibility).sum(1) >= FEWEST_TRACKS).all()
    sample = next(read_samples(made / "shard-000000.tar"))
    moment = read_moment(sample, 2, [1, -2])
    assert moment.bodies is not None and moment.bodies.max() > 0
    assert moment.flows.shape == (2, len(moment.points), 2)


def test_something_worth_showing_happens_between_all_frames(clips):
    still = [clip for clip in clips if clip.meta["camera"] == "static"]
    assert len(still) > 3
    for clip in still:
        assert np.abs(np.diff(clip.tracks[:, clip.bodies == 0], axis=0)).max() < 1e-6
        for start in range(3):
            anchored = slice(start * EACH, (start + 1) * EACH)
            assert flow.worth_keeping(
                clip.tracks[start + 1, anchored] - clip.tracks[start, anchored]
            )


def test_moving_cameras_shift_the_world_as_one_rigid_thing():
    """Static points obey one epipolar geometry; what moves by itself does not."""
    others, static = [], []
    for clip in filmed("heldout_e", 6, size=96):
        assert clip.meta["camera"] == "moving"
        seen = clip.visibility[[0, 2]].all(0)
        world = seen & (clip.bodies == 0)
        a, b = clip.tracks[0], clip.tracks[2]
        if world.sum() < 60 or np.median(np.linalg.norm(b - a, axis=1)[world]) < 0.01:
            continue
        matrix, _ = cv2.findFundamentalMat(a[world], b[world], cv2.FM_8POINT)
        lines = np.column_stack([a, np.ones(len(a))]) @ matrix.T
        off = np.abs((np.column_stack([b, np.ones(len(b))]) * lines).sum(1))
        off /= np.linalg.norm(lines[:, :2], axis=1)
        static.append(np.percentile(off[world], 95))
        others.append(np.percentile(off[seen & (clip.bodies > 0)], 95))
    assert len(static) >= 2
    assert max(static) < 2e-3
    assert np.mean(others) > 5 * np.mean(static)


def test_two_processes_write_the_same_bytes(made, tmp_path, monkeypatch):
    monkeypatch.setattr(making, "SHARD", 3)
    making.make_split(tmp_path, "train", CLIPS, **SETTINGS, workers=2)
    assert contents(tmp_path / "train") == contents(made)


def test_interrupted_run_continues(made, tmp_path, monkeypatch):
    """Stopped in the middle of the second shard: the first stays, nothing broken is left, and
    the next run gives what an uninterrupted one gives."""
    monkeypatch.setattr(making, "SHARD", 3)
    whole = making.shard_clips

    def stopping(split, seed, shard, *rest):
        made = whole(split, seed, shard, *rest)
        if shard == 1:
            yield from islice(made, 2)
            raise KeyboardInterrupt
        yield from made

    monkeypatch.setattr(making, "shard_clips", stopping)
    with pytest.raises(KeyboardInterrupt):
        making.make_split(tmp_path, "train", CLIPS, **SETTINGS)
    folder = tmp_path / "train"
    assert list(contents(folder)) == ["settings.json", "shard-000000.tar"]
    written = (folder / "shard-000000.tar").stat().st_mtime_ns
    (folder / "shard-000001.tar.part-17").write_bytes(b"left by a process that was killed")
    monkeypatch.setattr(making, "shard_clips", whole)
    making.make_split(tmp_path, "train", CLIPS, **SETTINGS)
    assert contents(folder) == contents(made)
    assert (folder / "shard-000000.tar").stat().st_mtime_ns == written


def test_folder_of_other_settings_is_refused(made):
    before = contents(made)
    with pytest.raises(SettingsError, match="seed was 4 and is 5"):
        making.make_split(made.parent, "train", CLIPS, **SETTINGS | {"seed": 5})
    assert contents(made) == before
    assert json.loads(before["settings.json"]) == SETTINGS | {"clips": CLIPS}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--clips", "0"], "clips is 0: must be at least 1"),
        (["--size", "16"], "size is 16: must be at least 32"),
        (["--frames", "1"], "frames is 1: must be at least 2"),
        (["--workers", "0"], "workers is 0: must be at least 1"),
        (["--seed", "-1"], "seed is -1: must be at least 0"),
    ],
)
def test_bad_arguments_cost_a_message_and_nothing_else(arguments, message, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["fpt-sim", "--out", str(tmp_path / "sim"), *arguments])
    with pytest.raises(SystemExit, match=f"fpt-sim: {message}"):
        command.main()
    assert not (tmp_path / "sim").exists()


def test_unknown_split_is_refused(tmp_path):
    with pytest.raises(ValueError, match="split is 'test': must be one of train, val"):
        making.make_split(tmp_path, "test", 1)


def test_what_is_held_out_is_kept_from_training():
    training = set(splits.tasks("train"))
    held_out = set(splits.tasks("heldout_a")) | set(splits.tasks("heldout_b"))
    assert len(training) == 42 and len(held_out) == 8
    assert not training & held_out
    assert training | held_out == set(metaworld_scenes.all_tasks())
    for split in ("val", "heldout_e"):
        assert set(splits.tasks(split)) == training
    assert not set(UNSEEN) & set(MECHANISMS)


def test_training_alone_shows_contraptions():
    shown = {}
    for split in ("train", "val", "heldout_c"):
        scenes = (next(splits.scene_clips(split, [n], 32, 2), None) for n in range(12))
        shown[split] = "+".join(clip.meta["scene"] for clip in scenes if clip)
    assert {split for split, names in shown.items() if "contraption" in names} == {"train"}


@pytest.mark.parametrize(
    ("split", "scenes"),
    [("heldout_a", splits.KNOWN_OBJECTS), ("heldout_b", splits.UNSEEN_OBJECTS)],
)
def test_robot_splits_show_their_tasks(split, scenes):
    for clip in filmed(split, 2):
        assert clip.meta["scene"] in scenes
        assert clip.meta["camera"] == "static"


def test_unseen_type_shows_and_moves_only_its_mechanisms():
    for clip in filmed("heldout_d", 4):
        first, *others = clip.meta["scene"].split("+")
        assert first in UNSEEN
        assert not {*others} & {*UNSEEN, *MECHANISMS}
        assert set(clip.meta["events"]) <= {"kinematic", "dynamics"}
        assert clip.meta["camera"] == "static"


def test_other_splits_are_other_scenes():
    first = {s: filmed(s, 1)[0].frames.tobytes() for s in ("train", "val", "heldout_c")}
    assert len(set(first.values())) == 3
