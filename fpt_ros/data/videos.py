"""Frames of a video file and their times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from fpt_ros.data.clips import rgb_converter

if TYPE_CHECKING:
    from jaxtyping import UInt8


REORDERED = 4
"""Files with B-frames may give a frame the stamp of another one, so many intervals away at most.
The frames' order is right."""


@dataclass(frozen=True)
class VideoSource:
    """A `Source`: the first video stream of a file, upright as players show it."""

    path: Path
    name: str

    def times(self) -> list[float]:
        stamps, unit = self._stamps
        return [stamp * unit for stamp in stamps]

    def frames(self, indices: list[int]) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        stamps, unit = self._stamps
        slack = (REORDERED + 0.5) * (stamps[-1] - stamps[0]) / len(stamps)
        convert = rgb_converter()
        with self._opened() as container:
            decoded = _decoded_from(container, stamps, indices[0])
            for index in indices:
                frame = next((frame for number, frame in decoded if number == index), None)
                if frame is None or frame.pts is None or abs(frame.pts - stamps[index]) > slack:
                    raise ValueError(f"no frame can be decoded at {stamps[index] * unit:.3f} s")
                if frame.is_corrupt:
                    raise ValueError(f"the frame at {stamps[index] * unit:.3f} s is damaged")
                yield np.rot90(convert(frame), round(frame.rotation / 90))

    @cached_property
    def _stamps(self) -> tuple[list[int], float]:
        """Presentation times of all frames, and their unit in seconds. Decodes nothing."""
        with self._opened() as container:
            if not container.streams.video:
                raise ValueError("has no video stream")
            stream = container.streams.video[0]
            stamps = [packet.pts for packet in container.demux(stream) if packet.size]
            unit = float(stream.time_base)
        if not stamps:
            raise ValueError("has no frames")
        if None in stamps:
            raise ValueError("has frames without time stamps: write it to an mp4 file first")
        return sorted({stamp for stamp in stamps if stamp is not None}), unit

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        try:
            with av.open(str(self.path)) as container:
                yield container
        except av.FFmpegError as error:
            raise ValueError(f"cannot be read as a video: {error.strerror}") from error


def _decoded_from(container: Any, stamps: list[int], index: int) -> Iterator[tuple[int, Any]]:
    """Decoded frames with their numbers, from one at or before `index` on."""
    stream = container.streams.video[0]
    if index > 0:
        container.seek(stamps[index], stream=stream)
        frames = container.decode(stream)
        first = next(frames, None)
        if first is not None and first.pts in stamps and first.pts <= stamps[index]:
            return enumerate(chain([first], frames), stamps.index(first.pts))
        container.seek(0, stream=stream)  # the file's index cannot be trusted
    return enumerate(container.decode(stream))
