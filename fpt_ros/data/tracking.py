# SPDX-License-Identifier: Apache-2.0
"""`fpt-data track`: shards of clips to shards of clips with tracks, one for one."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from fpt_ros.data import jobs
from fpt_ros.data.claiming import claimed
from fpt_ros.data.clips import SampleError, parse_clip, track_files
from fpt_ros.data.query_points import draw_queries
from fpt_ros.data.shards import ShardWriter, find_shards, whole_samples
from fpt_ros.data.trackers import load_tracker
from fpt_ros.data.trusting import believed

if TYPE_CHECKING:
    from fpt_ros.data.jobs import Report


def track_shards(
    inputs: list[Path],
    out: Path,
    tracker: str = "lucas-kanade",
    points: int = 512,
    seed: int = 0,
    device: str = "auto",
    workers: int = 1,
    ray: bool = False,
    all_tracks: bool = False,
) -> Report:
    """Write the tracked shards that are not in `out` yet, under their inputs' names.

    Args:
        all_tracks: keep also what is doubtful (see `fpt_ros.data.trusting`).

    Returns what was written now and what was skipped; a clip that cannot be read costs only
    itself, a shard that is not a whole tar file what comes after its damage.

    Raises:
        FileNotFoundError: an input is not there.
        SettingsError: `out` was begun with other settings, or another process writes to it.
        ValueError: an unknown tracker, two inputs of one name, an input in `out`.
        RuntimeError: the tracker cannot be had.
    """
    if points < 1:
        raise ValueError(f"points is {points}: must be at least 1")
    load_tracker(tracker, device)  # fails before anything is written
    pairs = {out / shard.name: shard for shard in find_shards(inputs)}
    if len(pairs) < len(find_shards(inputs)):
        raise ValueError("two of the shards have the same name: track them into two folders")
    if any(target.resolve() == shard.resolve() for target, shard in pairs.items()):
        raise ValueError(f"{out} holds the shards to track: choose another folder")
    work = jobs.Work(
        track_shard, tracker=tracker, points=points, seed=seed, device=device, all_tracks=all_tracks
    )
    settings = {"tracker": tracker, "points": points, "seed": seed, "all_tracks": all_tracks}
    with claimed(out, settings):
        missing = [pair for pair in pairs.items() if not pair[0].exists()]
        return jobs.run_jobs(work, missing, workers, ray)


def track_shard(
    job: tuple[Path, Path], tracker: str, points: int, seed: int, device: str, all_tracks: bool
) -> Report:
    """Write one shard."""
    target, shard = job
    report, track = jobs.Report(), load_tracker(tracker, device)
    hide = not jobs.in_main_process()
    problems: list[str] = []
    foreign: list[str] = []
    samples = whole_samples(shard, problems, foreign)
    with ShardWriter(target) as writer:
        for sample in tqdm(samples, shard.name, unit=" clips", leave=False, disable=hide):
            try:
                clip = parse_clip(sample, tracked=False)
            except SampleError as error:
                report.skipped.append(f"{shard.name}: {error}")
                continue
            queries = draw_queries(clip.frames, points, _generator(seed, clip.key))
            tracks, visible = track(clip.frames, queries)
            if not all_tracks:
                visible = believed(clip.frames, tracks, visible, track)
            files = track_files(tracks, visible)
            kept = {k: v for k, v in sample.items() if k != "__key__" and k not in files}
            writer.add(clip.key, {**kept, **files})
            report.clips += 1
    again = f"; once it is whole, delete {target} to track it again" if report.clips else ""
    report.skipped += [text + again for text in problems]
    report.notes = [f"{name} is of no sample: passed over" for name in foreign]
    return report


def _generator(seed: int, key: str) -> np.random.Generator:
    """Random numbers of a clip's own: the same whoever tracks it, and when."""
    digest = hashlib.sha256(key.encode()).digest()
    return np.random.default_rng([seed, *digest[:16]])
