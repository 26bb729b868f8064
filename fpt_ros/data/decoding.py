# SPDX-License-Identifier: Apache-2.0
"""Frames of a video stream in the order in which they are shown, and which of them can be trusted.

Nothing is concluded from a container's index or from time stamps: edit lists, recordings joined
with `cat`, lost packets and careless cameras make both wrong. What the decoder gives counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import av
import numpy as np

from fpt_ros.data.cutting import GAP

REORDERED = 4
"""Files with B-frames may give a frame the stamp of another one, so many intervals away at most.
The frames' order is right."""


class Packet(NamedTuple):
    """What counts of a packet. suspect: bytes of it are missing. place: of its first one in the
    file, where that is known."""

    pts: int | None
    dts: int | None
    key: bool
    suspect: bool
    place: int | None


class Frame(NamedTuple):
    """What counts of a decoded frame. packet: the number of the one that it came from."""

    pts: int | None
    key: bool
    size: tuple[int, int]
    packet: int


@dataclass
class Scan:
    """A whole stream, decoded once.

    damaged: numbers of packets that could not be decoded well. lossy: of a kind that loses packets
    on its way, so that a gap in time is a loss. end: why there is no more, where the file is not
    whole.
    """

    packets: list[Packet] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    damaged: set[int] = field(default_factory=set)
    lossy: bool = False
    end: str = ""


def decoded(container: Any, stream: Any, scan: Scan) -> Iterator[Any]:
    """The frames of a stream from where it stands, noting in `scan` what becomes of it."""
    packet_at: dict[int | None, int] = {}
    if stream.codec_context.name == "mjpeg":  # it would show an older frame where data are missing
        stream.codec_context.options = {"err_detect": "explode"}
    scan.lossy = container.format.name == "mpegts"
    try:
        for packet in container.demux(stream):
            number = len(scan.packets)
            if packet.size:
                packet_at[packet.pts] = number
                scan.packets.append(
                    Packet(
                        packet.pts, packet.dts, packet.is_keyframe, packet.is_corrupt, packet.pos
                    )
                )
            try:
                frames = packet.decode()
            except av.FFmpegError:
                scan.damaged.add(number)
                continue
            for frame in frames:
                source = packet_at.get(frame.pts, len(scan.packets) - 1)
                size = frame.width, frame.height
                scan.frames.append(Frame(frame.pts, frame.key_frame, size, source))
                if frame.is_corrupt:
                    scan.damaged.add(source)
                yield frame
    except av.FFmpegError as error:
        scan.end = f"breaks off: {error.strerror}"


def suspect(scan: Scan, losses: list[int]) -> None:
    """Note in `scan` what bytes are missing of, given the places in the file after the gaps."""
    places = [-1 if packet.place is None else packet.place for packet in scan.packets]
    ends = np.searchsorted(np.maximum.accumulate(places, dtype=int), losses)
    for number in ends[ends > 0] - 1:
        scan.packets[number] = scan.packets[number]._replace(suspect=True)


def untrusted(scan: Scan) -> set[int]:
    """Numbers of frames that are damaged, or predicted from damaged ones.

    A frame is predicted from packets since the last keyframe before its own; one that is shown
    before that keyframe, also from those since the keyframe before.
    """
    damaged = scan.damaged | _missing(scan)
    before = [0, *accumulate(number in damaged for number in range(len(scan.packets)))]
    keys = [0]  # numbers of keyframes, or of the first packet
    place = []  # in `keys`, of the last keyframe at or before each packet
    for number, packet in enumerate(scan.packets):
        if packet.key and number:
            keys.append(number)
        place.append(len(keys) - 1)
    found = set()
    for number, frame in enumerate(scan.frames):
        last = place[frame.packet]
        start = scan.packets[keys[last]].pts
        if last and start is not None and frame.pts is not None and frame.pts < start:
            last -= 1
        if before[frame.packet + 1] > before[keys[last]]:
            found.add(number)
    return found


def _missing(scan: Scan) -> set[int]:
    """Packets that miss bytes, or packets before them.

    The last ones of a recording that another one was joined to seem to, too.
    """
    times = [packet.dts for packet in scan.packets]
    steps = [0] * len(times)
    for number, (before, now) in enumerate(pairwise(times), 1):
        if before is not None and now is not None:
            steps[number] = now - before
    found = set()
    usual = float(np.median(steps)) if steps else 0.0
    for number, packet in enumerate(scan.packets):
        joined = any(step < 0 for step in steps[number + 1 : number + REORDERED])
        after_loss = steps[number] < 0 or (scan.lossy and steps[number] > GAP * usual)
        if (packet.suspect and not joined) or (after_loss and not packet.key):
            found.add(number)
    return found


def shown_at(scan: Scan) -> list[int]:
    """When each frame is shown, in the stream's unit.

    Stamps may be those of decoding: then they go to and fro, and are sorted between keyframes.

    Raises:
        ValueError: no frames, or frames without stamps.
    """
    stamps = [frame.pts for frame in scan.frames if frame.pts is not None]
    if not scan.frames:
        raise ValueError("has no frames")
    if len(stamps) < len(scan.frames):
        raise ValueError("has frames without time stamps: write it to an mp4 file first")
    steps = np.diff(np.unique(stamps))
    slack = REORDERED * float(np.median(steps)) if len(steps) else 0.0
    measured: list[int] = []
    stretch: list[int] = []
    highest = stamps[0]
    for stamp, frame in zip(stamps, scan.frames, strict=True):
        if stamp < highest - slack or (frame.key and stamp < highest):  # another recording
            measured += sorted(stretch)
            stretch, highest = [], stamp
        stretch.append(stamp)
        highest = max(highest, stamp)
    return measured + sorted(stretch)
