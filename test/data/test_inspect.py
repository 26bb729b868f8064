# SPDX-License-Identifier: Apache-2.0
"""`fpt-data inspect`: statistics that can be counted by hand, and its pictures."""

import json

import av
import cv2
import numpy as np
import pytest
from footage import fpt_data, moving

from fpt_ros.data.clips import Clip, clip_files
from fpt_ros.data.drawing import draw_tracks
from fpt_ros.data.shards import ShardWriter
from fpt_ros.data.statistics import clip_statistics


def clip(key, frames=30, points=200, moved=0.0, share=1.0, visible=1.0):
    """A share of the points moves by `moved` image sides over 25 frames, to the right."""
    rng = np.random.default_rng(0)
    start = rng.uniform(0.1, 0.5, (points, 2))
    way = np.arange(frames)[:, None, None] * np.array([moved / 25, 0])
    tracks = start + way * (np.arange(points) < share * points)[:, None]
    seen = np.broadcast_to(np.arange(points) < visible * points, (frames, points))
    return Clip(key, moving(frames, size=64), tracks.astype(np.float32), seen.copy())


@pytest.fixture
def shard(tmp_path):
    path = tmp_path / "shard-000000.tar"
    with ShardWriter(path) as writer:
        for made in (
            clip("still"),
            clip("panning", moved=0.2),
            clip("half", moved=0.2, share=0.5),
            clip("brief", frames=25),
            clip("hidden", visible=0.5),
        ):
            writer.add(made.key, clip_files(made))
        writer.add("foul", {"video.mpg": b"nonsense", "tracks.npy": b"", "visibility.npy": b""})
    return path


def test_statistics(shard, tmp_path):
    done = fpt_data("inspect", shard, "--out", tmp_path / "look", "--clips", 0)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "look" / "statistics.json").read_text())
    assert (found["clips"], found["usable"], found["skip"]) == (6, 3, 25)
    assert found["frames"] == {"least": 25, "median": 30, "most": 30}
    assert found["tracks"] == {"least": 200, "median": 200, "most": 200}
    assert found["visible share"]["least"] == 0.5
    assert found["visible tracks a frame"]["least"] == 100
    assert found["start frames a clip"] == {"least": 0, "median": 5, "most": 5}
    assert found["flow over the skip"]["99 %"] == pytest.approx(0.2, abs=1e-4)
    assert found["still"] == pytest.approx(0.5)
    assert found["static camera"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["unusable"] == {
        "shorter than 26 frames": ["brief"],
        "fewer than 128 visible tracks in every frame to start from": ["hidden"],
    }
    assert len(found["unreadable"]) == 1 and "sample 'foul'" in found["unreadable"][0]
    for text in ("6, 3 of them usable", "66.7% of the start frames", "1: shorter than 26 frames"):
        assert text in done.stdout


def test_another_skip(shard, tmp_path):
    fpt_data("inspect", shard, "--out", tmp_path, "--skip", 10, "--clips", 0)
    found = json.loads((tmp_path / "statistics.json").read_text())
    assert found["usable"] == 4
    assert found["flow over the skip"]["99 %"] == pytest.approx(0.2 * 10 / 25, abs=1e-4)


def test_pictures(shard, tmp_path):
    fpt_data("inspect", shard, "--out", tmp_path, "--clips", 2)
    assert cv2.imread(str(tmp_path / "sheet.png")).shape == (2 * 256, 4 * 256, 3)
    with av.open(str(tmp_path / "tracks.mp4")) as video:
        shapes = {(f.width, f.height) for f in video.decode(video=0)}
        assert shapes == {(512, 512)}


def test_tracks_are_drawn_where_they_are():
    made = clip("one", points=1, moved=0.3)
    plain = cv2.resize(made.frames[20], (512, 512), interpolation=cv2.INTER_LINEAR)
    drawn = np.abs(draw_tracks(made, 20).astype(int) - plain).sum(-1)
    rows, columns = np.nonzero(drawn[30:] > 60)  # the label is above
    rows += 30
    here, before = made.tracks[20, 0] * 512, made.tracks[12, 0] * 512
    assert abs(columns.max() - here[0]) < 5 and abs(columns.min() - before[0]) < 5
    assert abs(rows.mean() - here[1]) < 3


def test_points_beyond_the_frame_do_not_count():
    made = clip("one")
    made.tracks[:, :100, 0] += 1.5
    assert clip_statistics(made, 25).visible_a_frame == 100


def test_nothing_to_train_on(tmp_path):
    with ShardWriter(tmp_path / "shard-000000.tar") as writer:
        writer.add("brief", clip_files(clip("brief", frames=25)))
    done = fpt_data("inspect", tmp_path, "--out", tmp_path / "look")
    assert done.returncode == 1
    assert "0 of them usable" in done.stdout
