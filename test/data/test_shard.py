# SPDX-License-Identifier: Apache-2.0
"""`fpt-data shard`: which clips come out, whoever makes them and however often it is stopped."""

import os
import shutil
import signal
import struct
import subprocess
import sys
import time

import av
import cv2
import numpy as np
import pytest
import webdataset
from footage import SMALL, contents, fpt_data, moving, texture, write_video

from fpt_ros.data.clips import parse_clip
from fpt_ros.data.cutting import Cut, clip_indices, shot_change, square
from fpt_ros.data.sharding import Limits, make_shards
from fpt_ros.data.shards import read_samples
from fpt_ros.data.videos import VideoSource


def test_clips_and_what_is_skipped(videos, shards, tmp_path):
    assert list(contents(shards)) == ["settings.json", "shard-000000.tar", "shard-000001.tar"]
    done = fpt_data("shard", videos, "--out", tmp_path, *SMALL)
    assert "4 clips written now, 2 sources or clips skipped" in done.stdout
    assert "skipped footage0/broken.mp4: cannot be read as a video" in done.stderr
    assert "skipped footage0/more/short.mp4: is too short: 20 frames, a clip has 30" in done.stderr
    assert contents(tmp_path) == contents(shards)


def test_webdataset_reads_them(shards):
    urls = sorted(map(str, shards.glob("*.tar")))
    samples = list(webdataset.WebDataset(urls, shardshuffle=False))
    keys = [sample["__key__"] for sample in samples]
    assert keys == [f"footage0_{n}_mp4-0000{i}" for n in ("more_slow", "slow") for i in (0, 1)]
    ours = [sample for url in sorted(shards.glob("*.tar")) for sample in read_samples(url)]
    for sample, own in zip(samples, ours, strict=True):
        assert {name: sample[name] for name in own} == own


def test_frames_are_those_of_the_source(videos, shards):
    """The second clip of a video begins with its frame 30, found without decoding the first."""
    sample = list(read_samples(shards / "shard-000001.tar"))[1]
    clip = parse_clip(sample, tracked=False)
    assert clip.meta == {"source": "footage0/slow.mp4", "start": 1.2, "rate": 25.0}
    every = list(VideoSource(videos / "slow.mp4", "slow").frames(list(range(70))))
    distance = [np.abs(square(f, 64).astype(float) - clip.frames[0]).mean() for f in every]
    assert int(np.argmin(distance)) == 30 and len(clip.frames) == 30
    assert np.abs(square(every[59], 64).astype(float) - clip.frames[29]).mean() < 6


def test_workers_write_the_same_bytes(videos, shards, tmp_path):
    done = fpt_data("shard", videos, "--out", tmp_path, *SMALL, "--workers", 2)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path) == contents(shards)


def test_a_missing_shard_is_made_again_and_nothing_else(videos, shards, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(shards, out)
    (out / "shard-000000.tar").unlink()
    kept = (out / "shard-000001.tar").stat().st_mtime_ns
    assert "2 clips written" in fpt_data("shard", videos, "--out", out, *SMALL).stdout
    assert contents(out) == contents(shards)
    assert (out / "shard-000001.tar").stat().st_mtime_ns == kept


def test_killed_and_continued(videos, shards, tmp_path):
    """Killed while it writes its second shard; what is there then is whole."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "fpt_ros.data", "shard", videos, "--out", out, *SMALL]
    with subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 60
        while not list(out.glob("shard-000001.tar.part-*")) and process.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.0005)
        os.kill(process.pid, signal.SIGKILL)
    found = contents(out)
    assert any(".part-" in name for name in found), "it was killed too late"
    assert found["shard-000000.tar"] == contents(shards)["shard-000000.tar"]
    assert "shard-000001.tar" not in found
    assert fpt_data("shard", videos, "--out", out, *SMALL).returncode == 0
    assert contents(out) == contents(shards)


def test_other_settings_and_sources_are_refused(videos, shards, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(shards, out)
    done = fpt_data("shard", videos, "--out", out, *SMALL, "--stride", 2)
    assert done.returncode == 1
    assert "begun with other settings: stride was 1 and is 2. Take the same" in done.stderr
    done = fpt_data("shard", videos / "slow.mp4", "--out", out, *SMALL)
    assert done.returncode == 1 and "sources was" in done.stderr
    assert contents(out) == contents(shards)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 65}, "size is 65: must be even"),
        ({"frames": 1}, "frames is 1: must be at least 2"),
        ({"stride": 0}, "stride is 0: must be at least 1"),
        ({"rate": 0.0}, "rate is 0.0: must be above 0"),
        ({"rate": 5.0, "stride": 2}, "stride and rate cannot both be given"),
    ],
)
def test_bad_cuts(arguments, message):
    with pytest.raises(ValueError, match=message):
        Cut(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "fpt-data shard: nowhere: no video"),
        ([".", "--size", 65], "fpt-data shard: size is 65"),
        ([".", "--max-clips", 0], "fpt-data shard: a shard's most clips is 0"),
    ],
)
def test_bad_arguments(tmp_path, arguments, message):
    done = fpt_data("shard", *arguments, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.startswith(message) and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_nothing_comes_out(videos, tmp_path):
    done = fpt_data("shard", videos, "--out", tmp_path, "--frames", 100)
    assert done.returncode == 1
    assert done.stderr.count("skipped") == 4 and "0 clips written" in done.stdout


def test_short_clips_are_warned_of(videos, tmp_path):
    done = fpt_data("shard", videos, "--out", tmp_path, "--frames", 25, "--size", 32)
    assert "25 frames give no sample in training" in done.stderr


def test_a_large_shard_goes_on_in_another_file(videos, shards, tmp_path):
    limit = sum(path.stat().st_size for path in shards.glob("*.tar")) * 2 // 3
    make_shards([videos], tmp_path, Cut(size=64, frames=30), Limits(clips=4, bytes=limit))
    files = sorted(tmp_path.glob("*.tar"))
    assert [f.name for f in files] == ["shard-000000-1.tar", "shard-000000.tar"]
    assert all(f.stat().st_size < limit + 20_000 for f in files)  # the end of a tar file
    samples = [s for f in (files[1], files[0]) for s in read_samples(f)]
    assert samples == [s for f in sorted(shards.glob("*.tar")) for s in read_samples(f)]


def test_damage_in_the_middle_costs_its_clip(tmp_path):
    source = write_video(tmp_path / "video.mp4", moving(120, 0.3), keyframes=10)
    content = bytearray(source.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 9000] = bytes(9000)
    source.write_bytes(content)
    report = make_shards([source], tmp_path / "out", Cut(size=64, frames=30), Limits())
    assert report.clips + len(report.skipped) == 4
    assert 2 <= report.clips < 4
    assert "of video.mp4: " in report.skipped[0]


def matrix(*values):
    return struct.pack(">9i", *(round(value * 65536) for value in values))


def test_a_video_taken_with_a_turned_camera_is_shown_upright(tmp_path):
    """As phones write it: an mp4 file's track header says how to turn the picture."""
    pictures = moving(3, size=64)
    path = write_video(tmp_path / "video.mp4", pictures)
    content = path.read_bytes()
    at = content.index(matrix(1, 0, 0, 0, 1, 0, 0, 0, 2**14), content.index(b"tkhd"))
    turned = matrix(0, 1, 0, -1, 0, 0, 64, 0, 2**14)
    path.write_bytes(content[:at] + turned + content[at + len(turned) :])
    found = np.stack(list(VideoSource(path, "video").frames([0, 1, 2])))
    clockwise = np.rot90(pictures, -1, axes=(1, 2))
    assert np.abs(found.astype(int) - clockwise).mean() < 6


def test_stamps_in_the_order_of_decoding(tmp_path):
    """As some cameras write B-frames: each has the stamp of when it is decoded."""
    path = tmp_path / "video.mp4"
    right = write_video(tmp_path / "right.mp4", moving(40, 2.0))
    with av.open(str(right)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        shuffled = 0
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size:
                time = number * packet.duration
                shuffled += packet.pts != time
                packet.pts = packet.dts = time
                packet.stream = stream
                target.mux(packet)
    assert shuffled > 10
    found, wanted = (list(VideoSource(p, "video").frames(list(range(38)))) for p in (path, right))
    np.testing.assert_array_equal(found, wanted)


def test_a_change_of_shot_is_found():
    first, second = texture(64, 64, 1), texture(64, 64, 2)
    assert shot_change(np.stack([first] * 9 + [second] * 5)) == 9
    assert shot_change(moving(30, 3.0)) is None
    brighter = [cv2.convertScaleAbs(first, alpha=0.5 + 0.02 * i) for i in range(30)]
    assert shot_change(np.stack(brighter)) is None


@pytest.mark.parametrize(
    ("times", "cut", "expected"),
    [
        (np.arange(10) / 10, Cut(frames=3, stride=2), [[0, 2, 4]]),
        (np.arange(12) / 30, Cut(frames=4, rate=10), [[0, 3, 6, 9]]),
        (
            np.delete(np.arange(14), [4, 5, 6]) / 10,
            Cut(frames=3),
            [[0, 1, 2], [4, 5, 6], [7, 8, 9]],
        ),
        ([0, 0.11, 0.19, 0.31, 0.4, 0.5], Cut(frames=3, rate=5), [[0, 2, 4]]),
    ],
)
def test_frames_are_chosen_by_number_or_time_and_not_across_gaps(times, cut, expected):
    assert clip_indices(list(times), cut) == expected


def test_a_rate_that_the_source_has_not():
    with pytest.raises(ValueError, match="has 10 frames/s: cannot give 30"):
        clip_indices([i / 10 for i in range(100)], Cut(rate=30))
