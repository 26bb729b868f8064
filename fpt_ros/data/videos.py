# SPDX-License-Identifier: Apache-2.0
"""Frames of a video file and their times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import av
import cv2
import numpy as np

from fpt_ros.data import decoding, transport
from fpt_ros.data.clips import rgb_converter
from fpt_ros.data.cutting import Recording

if TYPE_CHECKING:
    from jaxtyping import Int, UInt8

COVER = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
THINNEST = 4
"""Pixels so many times as wide as high, or more, are taken for an error in the file."""


class Film(NamedTuple):
    """What is known of a film once it was decoded. pts: each frame's stamp as the file has it."""

    pts: Int[np.ndarray, " n"]
    recording: Recording


@dataclass(frozen=True)
class VideoSource:
    """A `Source`: the film in a file, upright and with square pixels, as players show it."""

    path: Path
    name: str

    def times(self) -> list[float]:
        return self._film.recording.times

    def recording(self) -> Recording:
        return self._film.recording

    def frames(self, indices: list[int]) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        times = self._film.recording.times
        convert = rgb_converter()
        decoded = self._decoded_from(indices[0])
        for index in indices:
            found = next((found for found in decoded if found[0] == index), None)
            if found is None:
                raise ValueError(f"no frame can be decoded at {times[index]:.3f} s")
            _, frame, aspect = found
            if frame.is_corrupt:
                raise ValueError(f"the frame at {times[index]:.3f} s is damaged")
            yield np.rot90(square_pixels(convert(frame), aspect), round(frame.rotation / 90))

    @cached_property
    def _film(self) -> Film:
        """The whole film is decoded once: no container's index can be trusted."""
        scan = decoding.Scan()
        with self._opened() as (container, stream):
            for _ in decoding.decoded(container, stream, scan):
                pass
            unit, pid = float(stream.time_base), stream.id
        if scan.lossy:
            decoding.suspect(scan, transport.losses(self.path, pid))
        shown = decoding.shown_at(scan)
        notes = [self._stream[1], scan.end]
        sizes = [frame.size for frame in scan.frames]
        changes = {n for n in range(1, len(sizes)) if sizes[n] != sizes[n - 1]}
        return Film(
            np.array([frame.pts for frame in scan.frames]),
            Recording(
                [s * unit for s in shown],
                changes,
                decoding.untrusted(scan),
                list(filter(None, notes)),
            ),
        )

    @cached_property
    def _stream(self) -> tuple[int, str]:
        """The film among the file's streams, and a remark where there are several.

        Not the first: cover pictures and previews may stand before it.
        """
        with self._container() as container:
            films = [s for s in container.streams.video if not s.disposition & COVER]
            if not films:
                raise ValueError("has no video stream")
            if len(films) == 1:
                return films[0].index, ""
            packets = Counter(packet.stream_index for packet in container.demux(films))
            film = max(films, key=lambda s: (packets[s.index] > 2, s.width * s.height))
            size = f"{film.width} x {film.height} pixels"
            return film.index, f"has {len(films)} films: stream {film.index} is taken, {size}"

    def _decoded_from(self, index: int) -> Iterator[tuple[int, av.VideoFrame, float]]:
        """Numbers and frames from one at or before `index` on, and how wide their pixels are."""
        pts = self._film.pts
        number_of = dict(zip(pts.tolist(), range(len(pts)), strict=True))
        if index > 0 and len(number_of) == len(pts):
            with self._opened() as (container, stream):
                container.seek(int(pts[index]), stream=stream)
                frames = decoding.decoded(container, stream, decoding.Scan())
                first = next((frame for frame in frames if frame.key_frame), None)
                number = None if first is None else number_of.get(first.pts)
                if number is not None and number <= index:
                    yield from self._numbered(chain([first], frames), stream, number)
                    return
        # Stamps that come twice, or a container's index that leads elsewhere.
        with self._opened() as (container, stream):
            frames = decoding.decoded(container, stream, decoding.Scan())
            yield from self._numbered(frames, stream, 0)

    def _numbered(
        self, frames: Iterable[Any], stream: Any, start: int
    ) -> Iterator[tuple[int, av.VideoFrame, float]]:
        pts = self._film.pts
        aspect = float(stream.sample_aspect_ratio or 1)
        for number, frame in enumerate(frames, start):
            if number >= len(pts) or frame.pts != pts[number]:
                raise ValueError(f"is decoded otherwise than before at frame {number}")
            yield number, frame, aspect

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, Any]]:
        index, _ = self._stream
        with self._container() as container:
            yield container, container.streams[index]

    @contextmanager
    def _container(self) -> Iterator[Any]:
        try:
            with av.open(str(self.path)) as container:
                yield container
        except av.FFmpegError as error:
            raise ValueError(f"cannot be read as a video: {error.strerror}") from error


def square_pixels(frame: UInt8[np.ndarray, "h w 3"], aspect: float) -> UInt8[np.ndarray, "h2 w2 3"]:
    """The picture with pixels as wide as high.

    Args:
        aspect: width of the pixels by their height; the shorter side is stretched.
    """
    if aspect == 1 or not 1 / THINNEST < aspect < THINNEST:
        return frame
    height, width = frame.shape[:2]
    size = round(width * max(aspect, 1)), round(height / min(aspect, 1))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC), np.uint8)
