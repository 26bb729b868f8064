# SPDX-License-Identifier: Apache-2.0
"""`fpt-data track`: where points go, and the same shards whoever makes them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from footage import contents, fpt_data, moving, texture

from fpt_ros.data.claiming import claimed
from fpt_ros.data.clips import Clip, clip_files, parse_clip
from fpt_ros.data.lucas_kanade import track_points
from fpt_ros.data.query_points import draw_queries
from fpt_ros.data.shards import ShardWriter, find_shards, read_samples
from fpt_ros.data.trackers import load_tracker
from fpt_ros.data.tracking import track_shards

POINTS = ("--points", 150)


@pytest.fixture(scope="module")
def tracked(shards, tmp_path_factory):
    out = tmp_path_factory.mktemp("tracked") / "out"
    done = fpt_data("track", shards, "--out", out, *POINTS)
    assert done.returncode == 0, done.stderr
    assert "4 clips written now, 0 sources or clips skipped" in done.stdout
    return out


def samples(folder):
    return [s for shard in sorted(folder.glob("*.tar")) for s in read_samples(shard)]


def test_everything_else_is_kept(shards, tracked):
    assert list(contents(tracked)) == list(contents(shards))
    for before, after in zip(samples(shards), samples(tracked), strict=True):
        assert {name: after[name] for name in before} == before
        assert set(after) - set(before) == {"tracks.npy", "visibility.npy"}


def test_tracks_of_the_clips(tracked):
    """Clips of 96 pixels moving by 0.5 to the right and 1.0 to the left a frame."""
    for sample in samples(tracked):
        clip = parse_clip(sample)
        assert clip.tracks.shape == (30, 150, 2) and clip.tracks.dtype == np.float32
        speed = -1 / 96 if "more" in clip.key else 0.5 / 96
        step = clip.tracks[1:] - clip.tracks[:-1]
        seen = clip.visibility[1:] & clip.visibility[:-1]
        assert seen.mean() > 0.6
        error = np.abs(step[seen] - [speed, 0]).max(-1)
        assert np.quantile(error, 0.95) < 0.5 / 64


@pytest.mark.parametrize("speed", [0.0, 2.0, -1.3])
def test_known_motion(speed):
    """Followed from any frame, forward and backward, to a fifth of a pixel."""
    frames = moving(20, speed, size=128)
    queries = draw_queries(frames, 200, np.random.default_rng(0))
    assert queries.shape == (200, 3) and len(np.unique(queries[:, 0])) > 10
    tracks, visible = track_points(frames, queries)
    since = np.arange(20)[:, None] - queries[:, 0]
    truth = queries[:, 1:] + since[..., None] * [speed / 128, 0]
    inside = ((truth > 0.03) & (truth < 0.97)).all(-1)
    assert visible[inside].mean() > 0.9
    error = np.linalg.norm(tracks - truth, axis=-1)[visible & inside] * 128
    assert np.quantile(error, 0.9) < 0.2
    outside = ((truth < -0.02) | (truth > 1.02)).any(-1)
    assert not visible[outside].any()


def test_what_is_hidden_and_what_comes_out_again():
    """A dark bar passes over a still picture: points under it are invisible, stay where they are,
    and most are found again."""
    frames = np.repeat(texture(128, 128)[None], 30, axis=0)
    left = 4 * np.arange(30)
    for frame, at in zip(frames, left, strict=True):
        frame[:, at : at + 24] = 10
    rng = np.random.default_rng(0)
    queries = np.column_stack([np.zeros(150), rng.uniform([0.3, 0.1], [0.95, 0.9], (150, 2))])
    tracks, visible = track_points(frames, queries)
    x = queries[:, 1] * 128
    under = (x > left[:, None] + 4) & (x < left[:, None] + 20)
    assert (~visible[under]).mean() > 0.9
    assert visible[x > left[:, None] + 32].mean() > 0.9
    assert visible[x < left[:, None] - 8].mean() > 0.5
    drift = np.linalg.norm(tracks - queries[:, 1:], axis=-1) * 128
    assert np.quantile(drift, 0.7) < 1


def test_a_plain_wall_does_not_go_with_what_moves_before_it():
    """A patterned square crosses a wall without texture, above a floor with some."""
    frames = np.full((20, 128, 128, 3), 128, np.uint8)
    frames[:, 64:] = texture(64, 128)
    square = texture(32, 32, seed=1)
    for number, frame in enumerate(frames):
        left = 10 + 3 * number
        frame[20:52, left : left + 32] = square
    rng = np.random.default_rng(0)
    everywhere = np.column_stack([np.zeros(400), rng.uniform(0.03, 0.97, (400, 2))])
    wall = np.column_stack([np.zeros(60), rng.uniform([0.03, 0.03], [0.97, 0.1], (60, 2))])
    tracks, visible = track_points(frames, np.concatenate([everywhere, wall]))
    way = (tracks - tracks[0]) * 128
    assert np.quantile(np.linalg.norm(way[-1, 400:], axis=-1), 0.9) < 1
    assert visible[:, 400:].mean() > 0.95
    x, y = (everywhere[:, 1:] * 128).T
    on_square = (x > 14) & (x < 38) & (y > 24) & (y < 48)
    assert on_square.sum() > 5
    np.testing.assert_allclose(way[-1, :400][on_square], [[57, 0]] * on_square.sum(), atol=1)


def test_workers_write_the_same_bytes(shards, tracked, tmp_path):
    done = fpt_data("track", shards, "--out", tmp_path, *POINTS, "--workers", 2)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path) == contents(tracked)


def test_ray_writes_the_same_bytes(shards, tracked, tmp_path):
    done = fpt_data("track", shards, "--out", tmp_path, *POINTS, "--ray")
    assert done.returncode == 0, done.stderr
    assert "4 clips written now" in done.stdout
    assert contents(tmp_path) == contents(tracked)
    again = fpt_data("track", shards, "--out", tmp_path, *POINTS, "--ray")
    assert again.returncode == 0 and "0 clips written now" in again.stdout


def test_killed_and_continued(shards, tracked, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "fpt_ros.data", "track", shards, "--out", out, *POINTS]
    with subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 60
        while not list(out.glob("shard-000001.tar.part-*")) and process.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.0005)
        os.kill(process.pid, signal.SIGKILL)
    found = contents(out)
    assert any(".part-" in name for name in found), "it was killed too late"
    assert found["shard-000000.tar"] == contents(tracked)["shard-000000.tar"]
    assert "shard-000001.tar" not in found
    done = fpt_data("track", shards, "--out", out, *POINTS)
    assert "2 clips written now" in done.stdout
    assert contents(out) == contents(tracked)


def test_two_processes_do_not_write_to_one_folder(shards, tracked, tmp_path):
    out = tmp_path / "out"
    settings = json.loads((tracked / "settings.json").read_text())
    with claimed(out, settings):
        unfinished = out / "shard-000000.tar.part-1"
        unfinished.touch()
        done = fpt_data("track", shards, "--out", out, *POINTS)
        assert done.returncode == 1 and "another process is writing to it" in done.stderr
        assert unfinished.exists()
    assert not unfinished.exists()
    assert fpt_data("track", shards, "--out", out, *POINTS).returncode == 0
    assert contents(out) == contents(tracked)


def test_bad_clips_and_shards_are_named_and_skipped(shards, tmp_path):
    bad = tmp_path / "in"
    shutil.copytree(shards, bad)
    whole = (bad / "shard-000000.tar").read_bytes()
    (bad / "shard-000000.tar").write_bytes(whole.rstrip(b"\0")[:-100])
    with ShardWriter(bad / "shard-000002.tar") as writer:
        writer.add("fine", clip_files(Clip("fine", moving(5, size=64))))
        writer.add("foul", {"video.mpg": b"nonsense"})
    report = track_shards([bad], tmp_path / "out", points=20)
    assert report.clips == 4
    assert len(report.skipped) == 2
    cut, foul = report.skipped
    assert "shard-000002.tar: sample 'foul': video.mpg cannot be decoded" in foul
    target = tmp_path / "out" / "shard-000000.tar"
    assert "shard-000000.tar is not a whole tar file" in cut and "taken: 1; once" in cut
    assert cut.endswith(f"delete {target} to track it again")
    assert [len(list(read_samples(shard))) for shard in find_shards([tmp_path / "out"])] == [
        1,
        2,
        1,
    ]


def test_mistakes_are_refused(shards, tracked, tmp_path):
    def complaint(*arguments):
        done = fpt_data("track", *arguments)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        return done.stderr

    assert "points was 150 and is 20" in complaint(shards, "--out", tracked, "--points", 20)
    assert "holds the shards to track" in complaint(shards, "--out", shards)
    assert "no such shard" in complaint(tmp_path / "nowhere", "--out", tmp_path)
    assert "points is 0" in complaint(shards, "--out", tmp_path, "--points", 0)


def test_cotracker_without_its_download(shards, tmp_path, monkeypatch):
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody answers there
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    done = fpt_data("track", shards, "--out", tmp_path / "out", "--tracker", "cotracker3")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "needs cotracker3_offline of facebookresearch/co-tracker:main" in done.stderr
    assert "The tracker lucas-kanade needs no download" in done.stderr
    assert not (tmp_path / "out").exists()


STAND_IN = """
import torch

class CoTrackerPredictor(torch.nn.Module):
    def forward(self, video, queries=None, segm_mask=None, grid_size=0, grid_query_frame=0,
                backward_tracking=False):
        frames = video.shape[1]
        assert video.shape == (1, frames, 3, 64, 64) and video.dtype == torch.float32
        assert video.max() > 1 and queries.shape[::2] == (1, 3) and backward_tracking
        time = torch.arange(float(frames))[None, :, None]
        x = queries[:, None, :, 1] + time - queries[:, None, :, 0]
        y = queries[:, None, :, 2].expand_as(x)
        return torch.stack([x, y], -1), y > 31.0

def cotracker3_offline(*, pretrained=True, **kwargs):
    return CoTrackerPredictor()
"""


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Torch hub's cache with a stand-in for CoTracker 3, of the same signatures, that shifts
    points by a pixel a frame."""
    home = tmp_path / "torch"
    folder = home / "hub" / "facebookresearch_co-tracker_main"
    folder.mkdir(parents=True)
    (folder / "hubconf.py").write_text(STAND_IN)
    monkeypatch.setenv("TORCH_HOME", str(home))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    load_tracker.cache_clear()
    yield folder
    load_tracker.cache_clear()


def test_tracks_by_cotracker(hub, shards, tmp_path):
    out = tmp_path / "out"
    done = fpt_data(
        "track", shards, "--out", out, "--points", 20, "--tracker", "cotracker3", "--device", "cpu"
    )
    assert done.returncode == 0, done.stderr
    for sample in samples(out):
        step = np.diff(parse_clip(sample).tracks, axis=0)
        np.testing.assert_allclose(step, np.broadcast_to([1 / 64, 0], step.shape), atol=1e-6)


def test_weights_of_cotracker_that_are_damaged(hub):
    with (hub / "hubconf.py").open("a") as file:
        file.write("import pickle\n\ndef cotracker3_offline():\n    pickle.loads(bytes([255]))\n")
    with pytest.raises(RuntimeError, match=r"needs cotracker3_offline of .*invalid load key"):
        load_tracker("cotracker3", "cpu")


def test_cotracker_s_units(hub):
    """Its points are pixels from the centre of the first one."""
    track = load_tracker("cotracker3", "cpu")
    queries = np.array([[0, 0.25, 0.25], [3, 0.5, 0.75]])
    tracks, visible = track(moving(6, size=64), queries)
    assert tracks.dtype == np.float32 and visible.dtype == bool
    np.testing.assert_allclose(tracks[:, 0, 0], 0.25 + np.arange(6) / 64, atol=1e-6)
    np.testing.assert_allclose(tracks[:, 1, 0], 0.5 + (np.arange(6) - 3) / 64, atol=1e-6)
    np.testing.assert_allclose(tracks[:, 1, 1], 0.75, atol=1e-6)
    assert not visible[:, 0].any() and visible[:, 1].all()
