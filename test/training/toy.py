"""A toy world for tests: coloured squares on a grey table; each future slides one of them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import cv2
import numpy as np
import webdataset

SIDE, POINTS, UNIFORM, FUTURES = 64, 128, 48, 3


def encode(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def toy_sample(rng: np.random.Generator, key: str) -> dict:
    """Two squares, body 1 and body 2, as one sample of a shard."""
    body_map = np.zeros((SIDE, SIDE), np.int32)
    image = np.full((SIDE, SIDE, 3), 120, np.uint8)
    for body, column in ((1, rng.integers(2, 14)), (2, rng.integers(34, 46))):
        row = rng.integers(2, 46)
        body_map[row : row + 16, column : column + 16] = body
        image[row : row + 16, column : column + 16] = rng.integers(0, 255, 3)
    uniform = rng.choice(SIDE * SIDE, UNIFORM, replace=False)
    on_bodies = rng.choice(np.flatnonzero(body_map), POINTS - UNIFORM, replace=False)
    rows, columns = np.divmod(np.concatenate([uniform, on_bodies]), SIDE)
    bodies = body_map[rows, columns]
    flows = np.zeros((FUTURES, POINTS, 2), np.float32)
    for flow in flows:
        flow[bodies == rng.integers(1, 3)] = rng.uniform(-0.2, 0.2, 2)
    points = (np.column_stack([columns, rows]) + 0.5).astype(np.float32) / SIDE
    meta = {"source": "toy", "scene": "squares", "seed": 0, "uniform": UNIFORM}
    return {
        "__key__": key,
        "image.png": cv2.imencode(".png", image[..., ::-1])[1].tobytes(),
        "points.npy": encode(points),
        "flows.npy": encode(flows),
        "bodies.npy": encode(bodies),
        "meta.json": json.dumps(meta).encode(),
    }


def write_toy_split(folder: Path, shards: int, pictures: int, seed: int) -> None:
    """Write ``shards`` shards of ``pictures`` samples each."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for shard in range(shards):
        path = folder / f"shard-{shard:06d}.tar"
        with webdataset.TarWriter(str(path), encoder=False) as writer:
            for index in range(pictures):
                writer.write(toy_sample(rng, f"shard-{shard:06d}-{index:04d}"))
