# SPDX-License-Identifier: Apache-2.0
"""A toy world for tests: coloured squares on a grey table, of which one slides at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fpt_ros.data.clips import Clip, clip_files
from fpt_ros.data.shards import ShardWriter, shard_path

SIDE, SQUARE, FRAMES = 64, 20, 4
LEFT = np.array([[8, 12], [36, 30]])
"""Column and row of the two squares at first."""


def squares_clip(
    key: str,
    rng: np.random.Generator,
    frames: int = FRAMES,
    bodies: bool = True,
    still: bool = False,
) -> Clip:
    """Tracks: a grid over the picture, of 3 pixels' spacing, in the first frame."""
    colours = rng.integers(0, 256, (2, 3))
    steps = np.zeros((frames, 2, 2), int)
    for step in steps[1:]:
        step[rng.integers(2)] = 0 if still else rng.choice([-4, 4], 2)
    places = LEFT + np.cumsum(steps, 0) % 9 - 4
    places -= places[0] - LEFT
    video = np.full((frames, SIDE, SIDE, 3), 110, np.uint8)
    grid = np.arange(1, SIDE, 3)
    points = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    own = np.zeros(len(points), np.int32)
    for body, ((column, row), colour) in enumerate(zip(LEFT, colours, strict=True)):
        inside = ((points >= (column, row)) & (points < (column + SQUARE, row + SQUARE))).all(1)
        own[inside] = body + 1
        for frame, place in zip(video, places, strict=True):
            x, y = place[body]
            frame[y : y + SQUARE, x : x + SQUARE] = colour
    shifts = np.concatenate([np.zeros((frames, 1, 2), int), places - places[0]], 1)
    tracks = ((points + shifts[:, own] + 0.5) / SIDE).astype(np.float32)
    seen = np.ones(tracks.shape[:2], bool)
    return Clip(key, video, tracks, seen, own if bodies else None)


def write_squares(folder: Path, clips: int, seed: int = 0, **options) -> Path:
    """One shard of as many clips; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    with ShardWriter(shard_path(folder, 0)) as writer:
        for number in range(clips):
            clip = squares_clip(f"clip-{number:03d}", rng, **options)
            writer.add(clip.key, clip_files(clip))
    return shard_path(folder, 0)
