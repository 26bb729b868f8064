"""Pictures with exact motion, read from WebDataset shards into memory.

A sample is ``image.png`` (square, RGB), ``points.npy`` float32 [n, 2], ``flows.npy`` float32
[futures, n, 2], ``bodies.npy`` int32 [n] and ``meta.json``.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import webdataset
from tqdm import tqdm

if TYPE_CHECKING:
    from jaxtyping import Float32, Int32, UInt8

# A point moves where it is displaced by more than this, in image sides (under a pixel at 160).
MOVING = 0.005


@dataclass(frozen=True)
class Scene:
    """One picture, points on it, and where they go in several possible futures.

    Positions are in [0, 1]^2 of the square picture (x right, y down), flows in the same unit.
    """

    image: UInt8[np.ndarray, "s s 3"]
    points: Float32[np.ndarray, "n 2"]
    flows: Float32[np.ndarray, "futures n 2"]
    bodies: Int32[np.ndarray, "n"]
    """The rigid body that a point belongs to; 0 is the world, which never moves."""
    uniform: int
    """This many leading points are drawn uniformly over the picture, the rest on bodies."""


def parse_scene(sample: dict[str, bytes]) -> Scene:
    """A sample's files to a ``Scene``; ValueError names the sample and what is wrong with it."""
    key = sample["__key__"]
    missing = {"image.png", "points.npy", "flows.npy", "bodies.npy", "meta.json"} - set(sample)
    if missing:
        raise ValueError(f"sample {key!r} lacks {sorted(missing)}")
    encoded = cv2.imdecode(np.frombuffer(sample["image.png"], np.uint8), cv2.IMREAD_COLOR)
    if encoded is None:
        raise ValueError(f"sample {key!r}: image.png is not an image")
    arrays = {
        name: np.load(io.BytesIO(sample[f"{name}.npy"]), allow_pickle=False)
        for name in ("points", "flows", "bodies")
    }
    count = len(arrays["points"])
    if arrays["flows"].shape[1:] != (count, 2) or arrays["bodies"].shape != (count,):
        shapes = {name: array.shape for name, array in arrays.items()}
        raise ValueError(f"sample {key!r}: shapes {shapes} do not fit each other")
    meta = json.loads(sample["meta.json"])
    image = cv2.cvtColor(encoded, cv2.COLOR_BGR2RGB)
    return Scene(image, **arrays, uniform=meta["uniform"])


def load_scenes(
    folder: Path, rank: int = 0, world_size: int = 1, limit: int | None = None
) -> list[Scene]:
    """Scenes of the shards in ``folder``.

    Of several processes each reads its own share of the shards, where there are enough for all.
    FileNotFoundError where ``folder`` has no shard.
    """
    shards = sorted(str(path) for path in folder.glob("shard-*.tar"))
    if not shards:
        raise FileNotFoundError(f"no shard-*.tar in {folder}")
    if len(shards) >= world_size:
        shards = shards[rank::world_size]
    # Split among the processes above already.
    samples = webdataset.WebDataset(shards, shardshuffle=False, nodesplitter=lambda urls: urls)
    scenes: list[Scene] = []
    for sample in tqdm(samples, desc=f"reading {folder}", unit=" pictures", disable=rank > 0):
        scenes.append(parse_scene(sample))
        if len(scenes) == limit:
            break
    return scenes


def to_model(images: list[UInt8[np.ndarray, "s s 3"]]) -> Float32[np.ndarray, "b 3 s s"]:
    """Pictures as the model takes them: float in [-1, 1], channels first."""
    return np.stack(images).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1.0
