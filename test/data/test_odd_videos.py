# SPDX-License-Identifier: Apache-2.0
"""Videos as they come: each clip's frames are ffmpeg's own, in its order, and whole."""

import io
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from footage import number, numbered

from fpt_ros.data.clips import parse_clip
from fpt_ros.data.cutting import Cut, square
from fpt_ros.data.sharding import Limits, make_shards
from fpt_ros.data.shards import read_samples
from fpt_ros.data.videos import VideoSource

FIXTURES = Path(__file__).parent / "fixtures"


def shard(source, out, frames=20, size=128, **options):
    """The clips of a source, and the report."""
    report = make_shards([source], out, Cut(size=size, frames=frames), Limits(), **options)
    files = sorted(out.glob("*.tar"))
    return [parse_clip(s, tracked=False) for file in files for s in read_samples(file)], report


def numbers(clip):
    return [number(frame) for frame in clip.frames]


def own_frames(path, stream=0):
    """ffmpeg's frames of a film, by the number that they carry."""
    with av.open(str(path)) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=stream)]
    return {number(frame): frame for frame in frames}


def check(clips, originals, least=24.0):
    """Every picture is that of its number: not smeared, not another's. PSNR in dB."""
    for clip in clips:
        for frame in clip.frames:
            wanted = square(originals[number(frame)], frame.shape[0]).astype(float)
            assert 10 * np.log10(255**2 / ((wanted - frame) ** 2).mean()) > least


@pytest.mark.parametrize(
    ("name", "stream", "frames", "expected"),
    [
        ("trimmed.mp4", 0, 50, [range(33, 83)]),
        ("damaged.mp4", 0, 20, [range(20)]),
        ("cover_first.mp4", 1, 50, [range(50), range(50, 100)]),
        (
            "two_recordings.ts",
            0,
            30,
            [range(30), range(30, 60), range(128, 158), range(158, 188)],
        ),
    ],
)
def test_files_that_came_in(tmp_path, name, stream, frames, expected):
    clips, _ = shard(FIXTURES / name, tmp_path, frames)
    assert [numbers(clip) for clip in clips] == [list(numbers) for numbers in expected]
    check(clips, own_frames(FIXTURES / name, stream))


def test_what_is_left_out_is_said(tmp_path):
    _, report = shard(FIXTURES / "damaged.mp4", tmp_path / "damaged")
    assert report.skipped == [
        "97 frames of damaged.mp4: from 0.920 s on they are damaged, or predicted from damaged ones"
    ]
    _, report = shard(FIXTURES / "two_recordings.ts", tmp_path / "two")
    assert report.notes == [
        "two_recordings.ts: its clock goes back by 2.373 s to 1.467 s at frame 60: no clip goes "
        "across"
    ]
    assert not report.skipped


def test_pixels_that_are_not_square():
    """96 x 128 pixels, each 16:9: shown as 4:3."""
    [frame] = VideoSource(FIXTURES / "anamorphic.mp4", "video").frames([7])
    assert frame.shape == (128, 171, 3)
    assert number(cv2.resize(frame, (128, 128))) == 7


def encoded(frames, container="mpegts", codec="libx264", rate=25, start=0, **options):
    """The frames as the bytes of a video file, whose clock begins `start` frames later."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        quality = {"qmin": "2", "qmax": "10"} if "mp" in codec else {"crf": "16"}
        stream.options = {**quality, "threads": "1", **options}
        for time, frame in enumerate(frames, start):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = time, Fraction(1, rate)
            output.mux(stream.encode(picture))
        output.mux(stream.encode())
    return buffer.getvalue()


@pytest.fixture(scope="module")
def on_the_air():
    """120 frames, and the transport stream that carries them."""
    frames = numbered(120)
    return frames, encoded(frames, g="30", bf="2")


@pytest.mark.parametrize("first", [24, 34, 120, 124, 150, 177, 250])
@pytest.mark.parametrize("count", [1, 6, 20])
def test_lost_packets(tmp_path, on_the_air, first, count):
    """Of a stream over the air. The decoder notices neither a frame that is missing altogether, nor
    always what a keyframe misses (24 is in the first, 124 in the second)."""
    originals, content = on_the_air
    path = tmp_path / "video.ts"
    path.write_bytes(content[: first * 188] + content[(first + count) * 188 :])
    clips, _ = shard(path, tmp_path / "out", 10)
    check(clips, dict(enumerate(originals)))
    assert len(clips) >= 7  # a group of 30 frames is lost, or two where a keyframe is
    for clip in clips:
        assert numbers(clip) == list(range(numbers(clip)[0], numbers(clip)[0] + 10))


@pytest.mark.parametrize(
    ("container", "codec", "options"),
    [
        ("mp4", "libx264", {"g": "12", "x264-params": "open-gop=1:bframes=3"}),
        ("matroska", "libx264", {"g": "12", "bf": "3", "x264-params": "b-pyramid=normal"}),
        ("mpegts", "libx264", {"g": "12", "x264-params": "open-gop=1:bframes=3"}),
        ("mp4", "libx265", {"x265-params": "keyint=12:open-gop=1:log-level=none"}),
        ("webm", "libvpx", {"g": "12", "auto-alt-ref": "1", "lag-in-frames": "10", "b": "2M"}),
        ("webm", "libvpx-vp9", {"g": "12", "auto-alt-ref": "1", "lag-in-frames": "10"}),
        ("avi", "mjpeg", {}),
        ("mpeg", "mpeg2video", {"g": "12", "bf": "2"}),
    ],
)
def test_frames_in_the_middle_are_found(tmp_path, container, codec, options):
    """Also where the keyframe before them is followed by frames that are shown before it."""
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV cannot write {codec}")
    path = tmp_path / f"video.{container}"
    path.write_bytes(encoded(numbered(60), container, codec, **options))
    source = VideoSource(path, "video")
    every = [number(frame) for frame in source.frames(list(range(60)))]
    assert every == list(range(60))
    for start in (1, 11, 12, 13, 23, 25, 47, 58):
        assert number(next(source.frames([start]))) == start


def test_recordings_joined_with_one_that_comes_later(tmp_path):
    """No step back: the stream only goes on with another picture, after a gap."""
    early, late = numbered(40, 0, seed=1), numbered(150, 100, seed=2)
    later = encoded(late, g="50")
    path = tmp_path / "video.ts"
    path.write_bytes(encoded(early) + later[len(later) // 2 // 188 * 188 :])
    clips, _ = shard(path, tmp_path / "out", 15)
    assert {int(clip.key[-5:]) for clip in clips} == set(range(len(clips))) and len(clips) >= 4
    check(clips, dict(enumerate([*early, *numbered(60, 40), *late])))
    for clip in clips:
        assert numbers(clip) == list(range(numbers(clip)[0], numbers(clip)[0] + 15))


@pytest.mark.parametrize("back", [1, 3, 10])
def test_recordings_that_overlap_a_little(tmp_path, back):
    """Not stamps in the order of decoding, which go to and fro as far."""
    path = tmp_path / "video.ts"
    later = encoded(numbered(25, 100, seed=2), start=25 - back)
    path.write_bytes(encoded(numbered(25, seed=1)) + later)
    clips, report = shard(path, tmp_path / "out", 20)
    assert [numbers(clip) for clip in clips] == [list(range(20)), list(range(100, 120))]
    assert f"its clock goes back by {(back + 1) / 25:.3f} s" in report.notes[0]


@pytest.mark.parametrize("lost", range(13, 24))
def test_what_is_shown_before_a_keyframe_and_predicted_from_damage(tmp_path, lost):
    """Of an open group of pictures the first frames look back beyond their keyframe."""
    originals = numbered(60)
    options = {"x264-params": "open-gop=1:bframes=3:keyint=12"}
    content = bytearray(encoded(originals, "mp4", **options))
    path = tmp_path / "video.mp4"
    path.write_bytes(content)
    with av.open(str(path)) as container:
        packet = [p for p in container.demux(video=0) if p.size][lost]
    content[packet.pos + 20 : packet.pos + packet.size] = bytes(packet.size - 20)
    path.write_bytes(content)
    clips, report = shard(path, tmp_path / "out", 6)
    check(clips, dict(enumerate(originals)))
    assert len(clips) >= 5 and report.skipped


def test_a_change_of_size_ends_a_clip(tmp_path):
    path = tmp_path / "video.ts"
    path.write_bytes(encoded(numbered(25, 0, 128)) + encoded(numbered(25, 100, 96)))
    clips, _ = shard(path, tmp_path / "out", 20)
    assert [numbers(clip) for clip in clips] == [list(range(20)), list(range(100, 120))]


def test_a_preview_before_the_film(tmp_path):
    """Two small pictures in a stream of their own, which no flag tells from a film."""
    path = tmp_path / "video.mkv"
    films = (numbered(2, 200, 64), numbered(20))
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("mjpeg", rate=25) for _ in films]
        for stream, pictures in zip(streams, films, strict=True):
            stream.height = stream.width = pictures.shape[1]
            stream.pix_fmt = "yuvj420p"
        for stream, pictures in zip(streams, films, strict=True):
            for picture in pictures:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
    clips, report = shard(path, tmp_path / "out")
    assert [numbers(clip) for clip in clips] == [list(range(20))]
    assert report.notes == ["video.mkv: has 2 films: stream 1 is taken, 128 x 128 pixels"]


def test_a_file_that_breaks_off(tmp_path):
    """A download that stopped; what is whole is taken."""
    path = tmp_path / "video.mkv"
    content = encoded(numbered(60), "matroska", g="10")
    path.write_bytes(content[: len(content) * 2 // 3])
    clips, _ = shard(path, tmp_path / "out", 10)
    assert 3 <= len(clips) <= 4
    check(clips, own_frames(path))


@pytest.mark.parametrize("end", [b"", b"\xff\xd9"])
def test_a_camera_s_film_of_jpegs_that_are_cut(tmp_path, end):
    """The decoder alone puts a part of an older frame there."""
    path = tmp_path / "video.avi"
    files = [cv2.imencode(".jpg", frame[..., ::-1])[1].tobytes() for frame in numbered(31)]
    for cut in (10, 21):
        files[cut] = files[cut][: len(files[cut]) * 4 // 5].rstrip(b"\xff") + end
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.height = stream.width = 128
        stream.pix_fmt = "yuvj420p"
        for time, file in enumerate(files):
            packet = av.Packet(file)
            packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, time, time, True
            container.mux(packet)
    clips, _ = shard(path, tmp_path / "out", 9)
    assert len(clips) == 3 and not {10, 21} & {n for clip in clips for n in numbers(clip)}
    check(clips, dict(enumerate(numbered(31))))
    source = VideoSource(path, "video")
    assert [number(next(source.frames([n]))) for n in (9, 10, 28)] == [9, 11, 30]


def test_clips_without_contrast_are_refused(tmp_path):
    """A lens cap, with the sensor's noise."""
    path = tmp_path / "video.mkv"
    noise = np.random.default_rng(0).integers(14, 19, (20, 64, 64, 3), dtype=np.uint8)
    path.write_bytes(encoded(noise, "matroska"))
    clips, report = shard(path, tmp_path / "out", size=64)
    assert not clips
    assert "clip video_mkv-00000 of video.mkv: no contrast: " in report.skipped[0]
