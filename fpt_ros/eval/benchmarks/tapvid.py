# SPDX-License-Identifier: Apache-2.0
"""TAP-Vid and RoboTAP (Doersch et al., 2022; Vecerik et al., 2023): pickles of videos and tracks.

A file holds a dictionary of videos by name, or a list of them. A video is a dictionary: `video`,
frames [t, h, w, 3] or as many JPEG files; `points` [n, t, 2], x and y as shares of the frame's
width and height; `occluded` [n, t]. A folder is read file by file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from fpt_ros.eval.benchmarks.pickles import read_pickle
from fpt_ros.eval.benchmarks.tracks import tracks_case
from fpt_ros.eval.cases import Case, Cases

SKIP = 25
"""Frames from the picture to its target, or the whole video where it is shorter."""
STARTS = 3
"""Of one video, spread over it."""


def read(path: Path, count: int, seed: int) -> Cases:
    """At most `count` cases, spread over the videos.

    Raises:
        ValueError: a file is not of this layout, or nothing moves in any video.
    """
    files = sorted(path.glob("*.pkl")) if path.is_dir() else [path]
    if not files:
        raise ValueError(f"{path}: no .pkl file in this folder")
    cases: list[Case] = []
    for file in tqdm(files, "reading", unit=" files", leave=False):
        content = read_pickle(file)
        videos = content if isinstance(content, dict) else dict(enumerate(content))
        for name, video in videos.items():
            cases += _cases(f"{file.stem}/{name}", video, seed)
    if not cases:
        raise ValueError(f"{path}: no point moves in any video")
    chosen = np.linspace(0, len(cases) - 1, min(count, len(cases))).round().astype(int)
    return Cases([cases[i] for i in chosen])


def _cases(key: str, video: Any, seed: int) -> list[Case]:
    try:
        frames = video["video"]
        points, occluded = np.asarray(video["points"]), np.asarray(video["occluded"], bool)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{key}: no dictionary of video, points and occluded: {error}") from error
    if points.shape != (*occluded.shape, 2) or occluded.shape[1:] != (len(frames),):
        raise ValueError(
            f"{key}: points {points.shape} and occluded {occluded.shape} do not fit "
            f"{len(frames)} frames: must be [n, t, 2] and [n, t]"
        )
    skip = min(SKIP, len(frames) - 1)
    if skip < 1:
        return []
    starts = np.unique(np.linspace(0, len(frames) - 1 - skip, STARTS).astype(int))
    found = []
    for start in starts:
        times = [start, start + skip]
        tracks, seen = points[:, times].swapaxes(0, 1), ~occluded[:, times].T
        rng = np.random.default_rng([seed, start])
        found.append(tracks_case(key, _frame(key, frames[start]), tracks, seen, rng))
    return [case for case in found if case is not None]


def _frame(key: str, frame: Any) -> np.ndarray:
    """RGB, from an array or a JPEG file's bytes."""
    if isinstance(frame, bytes):
        decoded = cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_COLOR)
        if decoded is None:
            raise ValueError(f"{key}: a frame is no picture that can be decoded")
        return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
    found = np.asarray(frame)
    if found.ndim != 3 or found.shape[2] != 3 or found.dtype != np.uint8:
        raise ValueError(f"{key}: a frame is {found.dtype} {found.shape}: must be uint8 [h, w, 3]")
    return found
