# SPDX-License-Identifier: Apache-2.0
"""What training and evaluation ask about: a frame of a clip, and where its points go from there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fpt_ros.data.clips import SampleError, decode_video, parse_bodies, parse_tracks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Bool, Float32, Int, Int32, UInt8

FEWEST_TRACKS = 128
"""A frame to start from needs as many visible tracks in the frame (the paper's rule)."""
STILL, STILL_SHARE = 0.01, 0.4
"""The camera counts as static where more than this share moves less than that, in image sides."""
CAMERAS = ("tracks", "static", "moving")
"""How it is known whether a camera stands still: from the tracks (`camera_is_static`), or
beforehand: it always does, or it always moves."""


@dataclass(frozen=True)
class Moment:
    """A frame, the tracks visible in it, and where they are in some other frames of the clip.

    Positions are in [0, 1]^2 of the square frame (x right, y down), flows in the same unit. A row
    of `flows` is one of the other frames.
    """

    key: str
    """The clip's."""
    image: UInt8[np.ndarray, "s s 3"]
    points: Float32[np.ndarray, "n 2"]
    flows: Float32[np.ndarray, "f n 2"]
    seen: Bool[np.ndarray, "f n"]
    """Whether the point is visible, in the frame, at the flow's end too."""
    camera_static: Bool[np.ndarray, "f"]
    bodies: Int32[np.ndarray, "n"] | None = None
    """The rigid body of each point, 0 for the world, where it is known."""


def usable(
    tracks: Float32[np.ndarray, "t n 2"], visibility: Bool[np.ndarray, "t n"]
) -> Bool[np.ndarray, "t n"]:
    """Tracks that are visible and inside the frame."""
    return visibility & ((tracks >= 0) & (tracks <= 1)).all(-1)


def start_frames(
    usable: Bool[np.ndarray, "t n"], skip: int, fewest: int = FEWEST_TRACKS
) -> Int[np.ndarray, " k"]:
    """Frames with enough usable tracks and a target `skip` frames on (back where negative)."""
    starts = np.flatnonzero(usable.sum(1) >= fewest)
    return starts[(starts + skip >= 0) & (starts + skip < len(usable))]


def camera_is_static(
    flows: Float32[np.ndarray, "... n 2"], bodies: Int[np.ndarray, "n"] | None
) -> Bool[np.ndarray, "..."]:
    """Whether the camera stood still, by the paper's rule: enough of the points hardly move.

    Where bodies are known, of the world's points alone: what moves in front of it says nothing
    about the camera.
    """
    world = np.zeros(flows.shape[-2], int) if bodies is None else bodies
    if (world == 0).any():
        flows = flows[..., world == 0, :]
    return (np.linalg.norm(flows, axis=-1) < STILL).mean(-1) > STILL_SHARE


def read_moment(
    sample: dict[str, Any], start: int, skips: Sequence[int], camera: str = "tracks"
) -> Moment:
    """The moment at frame `start` of a WebDataset sample, with the frames `skips` further on.

    Decodes the video no further than it has to.

    Args:
        camera: how it is known whether the camera stands still, one of `CAMERAS`.

    Raises:
        SampleError: a file is missing, cannot be read, or does not fit the others.
    """
    key = sample["__key__"]
    tracks, visibility = parse_tracks(sample)
    bodies = parse_bodies(sample, tracks.shape[1])
    try:
        frames = decode_video(sample["video.mpg"], start + 1)
    except (KeyError, ValueError) as error:
        raise SampleError(f"sample {key!r}: video.mpg {error}") from error
    if len(frames) <= start:
        raise SampleError(
            f"sample {key!r}: video.mpg has {len(frames)} frames, tracks.npy {len(tracks)}"
        )
    inside = usable(tracks, visibility)
    here = inside[start]
    targets = start + np.asarray(skips)
    flows = (tracks[targets] - tracks[start])[:, here]
    seen_bodies = None if bodies is None else bodies[here]
    static = np.full(len(targets), camera == "static")
    return Moment(
        key,
        frames[start],
        tracks[start, here],
        flows,
        inside[targets][:, here],
        camera_is_static(flows, seen_bodies) if camera == "tracks" else static,
        seen_bodies,
    )
