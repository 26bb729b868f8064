# SPDX-License-Identifier: Apache-2.0
"""OWM-95, the open-world motion benchmark (Baumann et al., Envisioning the Future, 2026).

A folder: `annotations.json`, a list of records with `name`, the video's file, and `startFrame`;
`video/NAME`; and `tapnext/STEM_tapnext.npz` with `tracks_yx.npy` [1, t, n, 2], y and x from -1 to
1, whose frames begin 8 before the start (or with the video, if that is later) and whose first 10
points are background. The rest are the annotated ones.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from fpt_ros.data.clips import decode_video
from fpt_ros.eval.benchmarks.tracks import tracks_case
from fpt_ros.eval.cases import Case, Cases

BEFORE = 8
"""Frames of the tracks before the start."""
BACKGROUND = 10
"""Points that come before the annotated ones."""
LENGTH = 32
"""Frames that the benchmark judges, the first included."""


def read(path: Path, count: int, seed: int) -> Cases:
    """One case of each of the first `count` videos in which an annotated point moves: the first
    judged frame, and the last.

    Raises:
        ValueError: the folder is not of this layout, or nothing moves.
    """
    try:
        records = json.loads((path / "annotations.json").read_text())
    except ValueError as error:
        raise ValueError(f"{path / 'annotations.json'}: {error}") from error
    if isinstance(records, dict):  # as pandas writes a table: columns of rows
        rows = next(iter(records.values()))
        records = [{name: column[row] for name, column in records.items()} for row in rows]
    found = [_case(path, record, seed) for record in tqdm(records[:count], "reading", leave=False)]
    cases: list[Case] = [case for case in found if case is not None]
    if not cases:
        raise ValueError(f"{path}: no annotated point moves in any video")
    return Cases(cases)


def _case(root: Path, record: dict[str, Any], seed: int) -> Case | None:
    name, start = str(record["name"]), int(record["startFrame"])
    before = min(BEFORE, start)
    file = root / "tapnext" / f"{Path(name).stem}_tapnext.npz"
    with np.load(file, allow_pickle=False) as content:
        tracks = content["tracks_yx.npy"][0]
    first = before - 1 if before else 0
    last = min(first + LENGTH, len(tracks)) - 1
    if last <= first:
        raise ValueError(f"{file}: {len(tracks)} frames of tracks: none after the start")
    places = (tracks[[first, last], BACKGROUND:, ::-1] + 1) / 2
    frame = _frame(root / "video" / name, start - before + first)
    seen = np.ones(places.shape[:2], bool)
    return tracks_case(name, frame, places, seen, np.random.default_rng(seed))


def _frame(path: Path, number: int) -> np.ndarray:
    frames = decode_video(path.read_bytes(), number + 1)
    if len(frames) <= number:
        raise ValueError(f"{path}: {len(frames)} frames, none numbered {number}")
    return np.asarray(frames[number])
