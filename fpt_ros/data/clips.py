# SPDX-License-Identifier: Apache-2.0
"""One clip: frames, tracks and visibility, to the files of a WebDataset sample and back."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import av
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Bool, Float32, Int32, UInt8

QUALITY = "2"
"""MPEG-1's quantiser: 1 to 31, low is good. The paper's scripts also take 2."""
NOMINAL_RATE = 60


class SampleError(ValueError):
    """A sample that cannot be used; says which one, which of its files, and what is wrong."""


@dataclass(frozen=True)
class Clip:
    """A sample as arrays. tracks, visibility, bodies: as in `fpt_ros.data`, None where unknown."""

    key: str
    frames: UInt8[np.ndarray, "t s s 3"]
    tracks: Float32[np.ndarray, "t n 2"] | None = None
    visibility: Bool[np.ndarray, "t n"] | None = None
    bodies: Int32[np.ndarray, "n"] | None = None
    meta: dict[str, Any] = field(default_factory=dict)


def encode_video(frames: UInt8[np.ndarray, "t h w 3"]) -> bytes:
    """MPEG-1 in a program stream, at high quality; the same bytes for the same frames.

    Raises RuntimeError where the stream, decoded again, has another number of frames.
    """
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mpeg") as container:
        stream = container.add_stream("mpeg1video", rate=NOMINAL_RATE)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 100_000_000  # never what limits the quality
        stream.options = {"qmin": QUALITY, "qmax": QUALITY, "threads": "1", "flags": "+bitexact"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    encoded = buffer.getvalue()
    with av.open(io.BytesIO(encoded)) as container:
        count = sum(1 for _ in container.decode(video=0))
    if count != len(frames):
        raise RuntimeError(f"{len(frames)} frames were encoded, {count} can be decoded")
    return encoded


def decode_video(encoded: bytes, most: int | None = None) -> UInt8[np.ndarray, "t h w 3"]:
    """All frames of a video as RGB, or the first `most`; ValueError where it cannot be decoded."""
    try:
        with av.open(io.BytesIO(encoded)) as container:
            container.streams.video[0].codec_context.thread_count = 1
            frames = list(map(rgb_converter(), islice(container.decode(video=0), most)))
    except (av.FFmpegError, IndexError) as error:
        raise ValueError(f"cannot be decoded: {getattr(error, 'strerror', error)}") from error
    if not frames:
        raise ValueError("has no frames")
    return np.stack(frames)


def rgb_converter() -> Callable[[av.VideoFrame], UInt8[np.ndarray, "h w 3"]]:
    """From decoded frames of one video to RGB, in the caller's thread.

    A frame's own conversion starts threads anew for each frame: seven times the work, and where
    the cores are busy, many times the wait.
    """
    reformat = av.video.reformatter.VideoReformatter().reformat
    return lambda frame: reformat(frame, format="rgb24", threads=1).to_ndarray()


def parse_clip(sample: dict[str, Any], tracked: bool = True) -> Clip:
    """A WebDataset sample (file contents by name, and `__key__`) as a clip.

    Args:
        tracked: whether tracks and visibility must be there; else they are not read.

    Raises:
        SampleError: a file is missing, cannot be read, or does not fit the others.
    """
    key = sample["__key__"]
    wanted = ("video.mpg", "tracks.npy", "visibility.npy") if tracked else ("video.mpg",)
    missing = [name for name in wanted if name not in sample]
    if missing:
        raise SampleError(f"sample {key!r} lacks {', '.join(missing)}")
    meta = parse_meta(sample)
    frames = _read(key, "video.mpg", decode_video, sample["video.mpg"])
    if frames.shape[1] != frames.shape[2]:
        height, width = frames.shape[1:3]
        raise SampleError(f"sample {key!r}: video.mpg is {width} x {height}: must be square")
    if not tracked:
        return Clip(key, frames, meta=meta)
    tracks, visibility = parse_tracks(sample)
    if len(tracks) != len(frames):
        raise SampleError(
            f"sample {key!r}: tracks.npy has {len(tracks)} frames, video.mpg {len(frames)}"
        )
    return Clip(key, frames, tracks, visibility, parse_bodies(sample, tracks.shape[1]), meta)


def parse_meta(sample: dict[str, Any]) -> dict[str, Any]:
    """What the sample says of itself, such as its rate; SampleError as above."""
    return _read(sample["__key__"], "meta.json", _read_meta, sample.get("meta.json", b"{}"))


def parse_bodies(sample: dict[str, Any], tracks: int) -> Int32[np.ndarray, "n"] | None:
    """The rigid body of each of the sample's tracks, where it is known; SampleError as above."""
    if "bodies.npy" not in sample:
        return None
    key = sample["__key__"]
    bodies = _read(key, "bodies.npy", _read_array, sample["bodies.npy"])
    if bodies.shape != (tracks,) or not np.issubdtype(bodies.dtype, np.integer):
        raise SampleError(
            f"sample {key!r}: bodies.npy is {bodies.dtype} {bodies.shape}: "
            f"must be integer ({tracks},), one for each track"
        )
    return bodies.astype(np.int32)


def parse_tracks(
    sample: dict[str, Any],
) -> tuple[Float32[np.ndarray, "t n 2"], Bool[np.ndarray, "t n"]]:
    """Tracks and visibility of a sample, without decoding its video; SampleError as above."""
    key = sample["__key__"]
    missing = [name for name in ("tracks.npy", "visibility.npy") if name not in sample]
    if missing:
        raise SampleError(f"sample {key!r} lacks {', '.join(missing)}")
    tracks = _read(key, "tracks.npy", _read_array, sample["tracks.npy"])
    visibility = _read(key, "visibility.npy", _read_array, sample["visibility.npy"])
    if tracks.ndim != 3 or tracks.shape[2] != 2 or not np.issubdtype(tracks.dtype, np.floating):
        raise SampleError(
            f"sample {key!r}: tracks.npy is {tracks.dtype} {tracks.shape}: must be float [t, n, 2]"
        )
    if visibility.shape != tracks.shape[:2] or visibility.dtype != bool:
        raise SampleError(
            f"sample {key!r}: visibility.npy is {visibility.dtype} {visibility.shape}: "
            f"must be bool {tracks.shape[:2]} as tracks.npy"
        )
    if not tracks.size:
        raise SampleError(f"sample {key!r}: tracks.npy has no tracks: {tracks.shape}")
    if not np.isfinite(tracks).all():
        raise SampleError(f"sample {key!r}: tracks.npy has values that are not finite")
    return tracks.astype(np.float32), visibility


def clip_files(clip: Clip) -> dict[str, bytes]:
    """What `parse_clip` reads, without `__key__`."""
    files = {"video.mpg": encode_video(clip.frames)}
    if clip.tracks is not None and clip.visibility is not None:
        files |= track_files(clip.tracks, clip.visibility)
    if clip.bodies is not None:
        files["bodies.npy"] = _array_bytes(clip.bodies)
    return files | {"meta.json": json.dumps(clip.meta).encode()}


def track_files(
    tracks: Float32[np.ndarray, "t n 2"], visibility: Bool[np.ndarray, "t n"]
) -> dict[str, bytes]:
    return {"tracks.npy": _array_bytes(tracks), "visibility.npy": _array_bytes(visibility)}


def _read(key: str, name: str, read: Any, content: bytes) -> Any:
    try:
        return read(content)
    except (ValueError, EOFError, MemoryError, RecursionError) as error:
        raise SampleError(f"sample {key!r}: {name} {error}") from error


def _read_meta(content: bytes) -> dict[str, Any]:
    found = json.loads(content)
    if not isinstance(found, dict):
        raise ValueError(f"holds a {type(found).__name__}: must be an object")
    return found


def _read_array(content: bytes) -> np.ndarray:
    if not content.startswith(np.lib.format.MAGIC_PREFIX):
        raise ValueError("is no array of NumPy")
    array = np.load(io.BytesIO(content), allow_pickle=False)
    assert isinstance(array, np.ndarray)
    return array


def _array_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
