# SPDX-License-Identifier: Apache-2.0
"""A sample's files: quality, the number of frames, and errors that name what is wrong."""

import io
import resource
import signal

import av
import numpy as np
import pytest
import webdataset
from footage import moving

from fpt_ros.data.clips import Clip, SampleError, clip_files, decode_video, encode_video, parse_clip
from fpt_ros.data.shards import ShardWriter, read_samples


@pytest.fixture(scope="module")
def clip():
    frames = moving(30, size=64)
    rng = np.random.default_rng(0)
    tracks = rng.random((30, 7, 2), np.float32)
    return Clip("drawer-00001", frames, tracks, rng.random((30, 7)) < 0.5, meta={"rate": 25.0})


@pytest.fixture
def sample(clip):
    return {"__key__": clip.key, **clip_files(clip)}


def test_round_trip(clip, sample):
    found = parse_clip(sample)
    assert found.key == clip.key and found.meta == clip.meta
    np.testing.assert_array_equal(found.tracks, clip.tracks)
    np.testing.assert_array_equal(found.visibility, clip.visibility)
    assert found.frames.shape == clip.frames.shape
    error = (found.frames.astype(float) - clip.frames) ** 2
    assert 10 * np.log10(255**2 / error.mean()) > 30


@pytest.mark.parametrize("count", [1, 2, 26, 61])
@pytest.mark.parametrize("size", [16, 130])
def test_every_frame_is_there(count, size):
    frames = moving(count, size=max(size, 32))[:, :size, :size]
    assert decode_video(encode_video(frames)).shape == frames.shape


def test_the_video_is_mpeg_1_in_a_program_stream(sample):
    with av.open(io.BytesIO(sample["video.mpg"])) as container:
        assert container.format.name == "mpeg"
        assert container.streams.video[0].codec_context.name == "mpeg1video"


def test_a_shard_as_the_paper_s_script_writes_it(tmp_path):
    """Written by webdataset itself, from arrays; more tracks leave the frame than stay in it."""
    rng = np.random.default_rng(0)
    tracks = rng.normal(0.5, 1, (24, 5, 2)).astype(np.float32)
    visible = rng.random((24, 5)) < 0.5
    path = tmp_path / "shard_000000.tar"
    with webdataset.TarWriter(str(path)) as sink:
        for key in ("videos_a", "videos_b"):
            files = {"tracks.npy": tracks, "visibility.npy": visible}
            video = encode_video(moving(24, size=64))
            sink.write({"__key__": key, **files, "video.mpg": video})
    clips = [parse_clip(sample) for sample in read_samples(path)]
    assert [clip.key for clip in clips] == ["videos_a", "videos_b"]
    np.testing.assert_array_equal(clips[1].tracks, tracks)
    np.testing.assert_array_equal(clips[1].visibility, visible)


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("video.mpg", b"nonsense", "video.mpg cannot be decoded"),
        ("video.mpg", None, "lacks video.mpg"),
        ("visibility.npy", None, "lacks visibility.npy"),
        ("tracks.npy", b"nonsense", "tracks.npy"),
        ("tracks.npy", npy(np.array([None])), "tracks.npy Object arrays cannot be loaded"),
        ("tracks.npy", npy(np.zeros((30, 7))), r"tracks.npy is float64 \(30, 7\): must be float"),
        ("tracks.npy", npy(np.zeros((30, 7, 2), int)), "tracks.npy is int64"),
        ("tracks.npy", npy(np.full((30, 7, 2), np.nan)), "tracks.npy has values that are not fin"),
        ("visibility.npy", npy(np.ones((30, 8), bool)), r"must be bool \(30, 7\)"),
        ("visibility.npy", npy(np.ones((30, 7))), "visibility.npy is float64"),
        ("video.mpg", encode_video(moving(29, size=64)), "tracks.npy has 30 frames, video.mpg 29"),
        ("video.mpg", encode_video(moving(30, size=64)[:, :32]), "64 x 32: must be square"),
        ("meta.json", b"{", "meta.json"),
    ],
)
def test_a_bad_file_is_named(sample, name, content, message):
    if content is None:
        del sample[name]
    else:
        sample[name] = content
    with pytest.raises(SampleError, match=f"sample 'drawer-00001'.*{message}"):
        parse_clip(sample)


@pytest.mark.parametrize("files", [{"a": bytes(2**20)}, {"a": b"small"}])
def test_a_full_disk_leaves_no_broken_shard(tmp_path, files):
    """A file that may not grow is as good as a full disk: writing, or the last flush, fails."""
    limit, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, most))
        with pytest.raises(OSError), ShardWriter(tmp_path / "shard-000000.tar") as writer:
            writer.add("key", files)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
        signal.signal(signal.SIGXFSZ, ignored)
    assert not list(tmp_path.iterdir())
