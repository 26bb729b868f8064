# SPDX-License-Identifier: Apache-2.0
"""A toy world for tests: coloured squares that slide over a grey table, as clips in shards."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fpt_ros.data.clips import Clip, clip_files
from fpt_ros.data.shards import ShardWriter, shard_path

SIDE, TRACKS, UNIFORM, FRAMES, SQUARE = 64, 192, 96, 4, 16


def toy_clip(rng: np.random.Generator, key: str, bodies: bool = True) -> Clip:
    """Two squares, bodies 1 and 2; between consecutive frames one of them slides a little."""
    corners = np.array([rng.integers(4, 12, 2), rng.integers(32, 42, 2)])
    colours = rng.integers(0, 255, (2, 3))
    places = [corners]
    for _ in range(FRAMES - 1):
        step = np.zeros((2, 2), int)
        step[rng.integers(2)] = rng.integers(-6, 7, 2)
        places.append(np.clip(places[-1] + step, 0, SIDE - SQUARE))
    frames, of = draw(places, colours)
    pixels = rng.integers(0, SIDE, (UNIFORM, 2))
    own = of[0, pixels[:, 1], pixels[:, 0]]
    for body in (1, 2):
        inside = rng.integers(0, SQUARE, ((TRACKS - UNIFORM) // 2, 2)) + corners[body - 1]
        pixels = np.concatenate([pixels, inside])
        own = np.concatenate([own, of[0, inside[:, 1], inside[:, 0]]])
    moved = np.stack([np.vstack([[0, 0], place - corners])[own] for place in places])
    positions = pixels + moved
    columns, rows = np.clip(positions, 0, SIDE - 1).transpose(2, 0, 1)
    seen = of[np.arange(FRAMES)[:, None], rows, columns] == own
    tracks = ((positions + 0.5) / SIDE).astype(np.float32)
    return Clip(key, frames, tracks, seen, own.astype(np.int32) if bodies else None)


def draw(places: list[np.ndarray], colours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frames, and the body seen in each pixel; body 2 lies on top."""
    frames = np.full((FRAMES, SIDE, SIDE, 3), 120, np.uint8)
    of = np.zeros((FRAMES, SIDE, SIDE), int)
    for frame, place in enumerate(places):
        for body, (column, row) in enumerate(place):
            patch = (frame, slice(row, row + SQUARE), slice(column, column + SQUARE))
            frames[patch], of[patch] = colours[body], body + 1
    return frames, of


def write_toy_shards(folder: Path, shards: int, clips: int, seed: int, bodies: bool = True) -> Path:
    """Write `shards` shards of `clips` samples each."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for number in range(shards):
        with ShardWriter(shard_path(folder, number)) as writer:
            for index in range(clips):
                key = f"{number:03d}-{index:04d}"
                writer.add(key, clip_files(toy_clip(rng, key, bodies)))
    return folder
