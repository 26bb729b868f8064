# SPDX-License-Identifier: Apache-2.0
"""Pictures of tracks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import cv2
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from jaxtyping import UInt8

    from fpt_ros.data.clips import Clip

SIDE = 512
TAIL = 8
"""Frames of the past that a track is drawn with."""
COLUMNS = 4
NOMINAL_RATE = 12


def draw_tracks(clip: Clip, time: int, side: int = SIDE) -> UInt8[np.ndarray, "s s 3"]:
    """A frame with its tracks: coloured by where they are in the middle of the clip; filled where
    visible, a ring where not."""
    assert clip.tracks is not None and clip.visibility is not None
    frame = cv2.resize(clip.frames[time], (side, side), interpolation=cv2.INTER_LINEAR)
    colours = track_colours(clip)
    past = clip.tracks[max(time - TAIL, 0) : time + 1] * side
    for point in range(clip.tracks.shape[1]):
        colour = tuple(map(int, colours[point]))
        way = np.clip(past[:, point] * 16, -30000, 30000).astype(np.int32)
        if not clip.visibility[time, point]:
            cv2.circle(frame, way[-1].tolist(), 3 * 16, colour, 1, cv2.LINE_AA, shift=4)
            continue
        cv2.polylines(frame, [way], False, colour, 1, cv2.LINE_AA, shift=4)
        cv2.circle(frame, way[-1].tolist(), 2 * 16, colour, -1, cv2.LINE_AA, shift=4)
    cv2.rectangle(frame, (0, 0), (side, 14), (0, 0, 0), -1)
    label = f"{clip.key}  {time}"
    cv2.putText(frame, label, (4, 11), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (255, 255, 255), 1)
    return np.asarray(frame, np.uint8)


def track_colours(clip: Clip) -> UInt8[np.ndarray, "n 3"]:
    """A hue for each track that changes smoothly over the picture, so that swaps are seen."""
    assert clip.tracks is not None
    x, y = clip.tracks[len(clip.tracks) // 2].T
    hue = np.mod(180 * (0.7 * x + 0.45 * y), 180)
    hsv = np.stack([hue, np.full_like(hue, 255), np.full_like(hue, 255)], -1)
    return np.asarray(cv2.cvtColor(hsv[None].astype(np.uint8), cv2.COLOR_HSV2RGB)[0], np.uint8)


def contact_sheet(clips: list[Clip], side: int = 256) -> UInt8[np.ndarray, "h w 3"]:
    """A row a clip: frames from its first to its last."""
    rows = []
    for clip in clips:
        times = np.linspace(0, len(clip.frames) - 1, COLUMNS).astype(int)
        rows.append(np.hstack([draw_tracks(clip, int(time), side) for time in times]))
    return np.vstack(rows)


def write_video(path: Path, clips: list[Clip]) -> None:
    """All frames of the clips, with their tracks, as mp4."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=NOMINAL_RATE)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "20"}
        for clip in clips:
            for time in range(len(clip.frames)):
                frame = av.VideoFrame.from_ndarray(draw_tracks(clip, time), format="rgb24")
                container.mux(stream.encode(frame))
        container.mux(stream.encode())
