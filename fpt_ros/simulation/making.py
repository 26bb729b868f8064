# SPDX-License-Identifier: Apache-2.0
"""`fpt-sim`: shards of simulated clips, in any number of processes, resumable.

A shard is the unit of work. Shard s of a split films scenes 0, 1, 2, ... with random generators
seeded from (seed, split, s, scene) until it has its clips, so the data do not depend on the number
of processes; an interrupted run continues with the shards that are not there yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from fpt_ros.data import jobs
from fpt_ros.data.claiming import claimed
from fpt_ros.data.clips import clip_files
from fpt_ros.data.shards import ShardWriter, shard_path
from fpt_ros.simulation.splits import SPLITS, scene_clips

if TYPE_CHECKING:
    from fpt_ros.data.clips import Clip
    from fpt_ros.data.jobs import Report

SHARD = 50
"""Clips in a shard."""


def make_split(
    out: Path,
    split: str,
    clips: int,
    seed: int = 0,
    size: int = 224,
    frames: int = 6,
    workers: int = 1,
    ray: bool = False,
) -> Report:
    """Write the shards of `split` that are not there yet, to `<out>/<split>/`.

    Raises:
        ValueError: an unknown split, or numbers out of range.
        SettingsError: the folder was begun with other settings, or another process writes to it.
    """
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}: must be one of {', '.join(SPLITS)}")
    _check(
        clips=(clips, 1), size=(size, 32), frames=(frames, 2), seed=(seed, 0), workers=(workers, 1)
    )
    folder = out / split
    shards = [
        (shard, min(SHARD, clips - first)) for shard, first in enumerate(range(0, clips, SHARD))
    ]
    work = jobs.Work(make_shard, folder=folder, split=split, seed=seed, size=size, frames=frames)
    with claimed(folder, {"seed": seed, "size": size, "frames": frames, "clips": clips}):
        missing = [(n, wanted) for n, wanted in shards if not shard_path(folder, n).exists()]
        return jobs.run_jobs(work, missing, workers, ray)


def _check(**least: tuple[int, int]) -> None:
    """ValueError for a number below its least value."""
    for name, (value, smallest) in least.items():
        if value < smallest:
            raise ValueError(f"{name} is {value}: must be at least {smallest}")


def make_shard(
    job: tuple[int, int], folder: Path, split: str, seed: int, size: int, frames: int
) -> Report:
    """Write one shard."""
    number, wanted = job
    report, path = jobs.Report(), shard_path(folder, number)
    clips = islice(shard_clips(split, seed, number, size, frames), wanted)
    hide = not jobs.in_main_process()
    with ShardWriter(path) as writer:
        for clip in tqdm(
            clips, f"{split} {path.stem}", wanted, unit="clip", leave=False, disable=hide
        ):
            writer.add(f"{path.stem}-{report.clips:04d}", clip_files(clip))
            report.clips += 1
    return report


def shard_clips(split: str, seed: int, shard: int, size: int, frames: int) -> Iterator[Clip]:
    """The clips of a shard's scenes, without end."""
    for scene in count():
        numbers = [seed, SPLITS.index(split), shard, scene]
        yield from scene_clips(split, numbers, size, frames)
