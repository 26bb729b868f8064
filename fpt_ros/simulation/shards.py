"""Writing the data set: WebDataset tar shards, any number of processes, resumable.

A shard is the unit of work. Shard s of a split draws scenes 0, 1, 2, ... with random generators
seeded from (seed, split, s, scene) until it has its pictures, so the data do not depend on the
number of processes; an interrupted run continues with the shards that are not there yet.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from fpt_ros.simulation.picture import Picture
from fpt_ros.simulation.splits import SPLITS, scene_pictures

SHARD = 500
"""Pictures in a shard."""


def shard_pictures(split: str, seed: int, shard: int, count: int, size: int) -> Iterator[Picture]:
    """The first `count` pictures of a shard's scenes."""
    scene = 0
    while count > 0:
        numbers = [seed, SPLITS.index(split), shard, scene]
        for picture in scene_pictures(split, numbers, size):
            yield picture
            count -= 1
            if count == 0:
                return
        scene += 1


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


def write_shard(path: Path, pictures: Iterator[Picture]) -> None:
    """Write to a temporary name beside `path`, then rename: a shard is whole or not there."""
    unfinished = path.with_suffix(".tar.part")
    try:
        with tarfile.open(unfinished, "w", format=tarfile.USTAR_FORMAT) as tar:
            for index, picture in enumerate(pictures):
                members = {
                    "image.png": png(picture.image),
                    "points.npy": npy(picture.points),
                    "flows.npy": npy(picture.flows),
                    "bodies.npy": npy(picture.bodies),
                    "meta.json": json.dumps(picture.meta).encode(),
                }
                for name, content in members.items():
                    info = tarfile.TarInfo(f"{path.stem}-{index:04d}.{name}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_shard(path: Path) -> Iterator[Picture]:
    """The pictures of a shard in order."""
    with tarfile.open(path) as tar:
        sample: dict[str, bytes] = {}
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            sample[member.name.split(".", 1)[1]] = file.read()
            if len(sample) == 5:
                yield decode(sample)
                sample = {}


def decode(sample: dict[str, bytes]) -> Picture:
    points, flows, bodies = (
        np.load(io.BytesIO(sample[f"{name}.npy"]), allow_pickle=False)
        for name in ("points", "flows", "bodies")
    )
    image = cv2.imdecode(np.frombuffer(sample["image.png"], np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return Picture(image[..., ::-1], points, flows, bodies, json.loads(sample["meta.json"]))


def make_shard(
    folder: Path, split: str, seed: int, size: int, show: bool, job: tuple[int, int]
) -> None:
    shard, count = job
    pictures = shard_pictures(split, seed, shard, count, size)
    name = f"shard-{shard:06d}"
    bar = tqdm(pictures, f"{split} {name}", count, unit="picture", mininterval=1, disable=not show)
    write_shard(folder / f"{name}.tar", iter(bar))


def check_settings(folder: Path, settings: dict) -> None:
    """A folder holds the data of one seed and size; continuing with others is refused."""
    file = folder / "settings.json"
    if not file.exists():
        file.write_text(json.dumps(settings) + "\n")
    found = json.loads(file.read_text())
    if found != settings:
        raise ValueError(f"{folder} was made with {found}: cannot continue it with {settings}")


def make_split(
    out: Path, split: str, pictures: int, seed: int, size: int = 160, workers: int = 1
) -> None:
    """Write the shards of `split` that are not there yet, to `<out>/<split>/`.

    Raises ValueError for an unknown split, or a folder made with another seed or size.
    """
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}: must be one of {', '.join(SPLITS)}")
    folder = out / split
    folder.mkdir(parents=True, exist_ok=True)
    check_settings(folder, {"seed": seed, "size": size})
    jobs = [
        (shard, min(SHARD, pictures - start))
        for shard, start in enumerate(range(0, pictures, SHARD))
        if not (folder / f"shard-{shard:06d}.tar").exists()
    ]
    work = partial(make_shard, folder, split, seed, size, workers == 1)
    if workers == 1:
        for job in jobs:
            work(job)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        done = pool.imap_unordered(work, jobs)
        for _ in tqdm(done, split, len(jobs), unit="shard"):
            pass
