# SPDX-License-Identifier: Apache-2.0
"""`fpt-data shard`: videos and bags to shards of clips.

Which clip goes into which shard follows from the sources alone, so a shard that is missing can be
made by itself, by whichever process.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from fpt_ros.data import jobs
from fpt_ros.data.claiming import claimed
from fpt_ros.data.clips import Clip, clip_files
from fpt_ros.data.cutting import (
    CONTRAST,
    Cut,
    clip_indices,
    clip_rate,
    contrast,
    damaged_runs,
    shot_change,
    square,
    steps_back,
)
from fpt_ros.data.shards import ShardWriter, shard_path
from fpt_ros.data.sources import find_sources, key_prefixes
from fpt_ros.encodings import FULL_RANGE
from fpt_ros.images import DEFAULT

if TYPE_CHECKING:
    from fpt_ros.data.jobs import Report
    from fpt_ros.data.sources import Source
    from fpt_ros.images import Reading

# What reading damaged files and messages raises.
UNUSABLE = (ValueError, OSError, RuntimeError)


@dataclass(frozen=True)
class PlannedClip:
    """A clip before anything of it is decoded."""

    key: str
    source: Source
    indices: list[int]
    meta: dict[str, Any]


@dataclass(frozen=True)
class Limits:
    """A shard has at most so many clips; its file goes on in another one beyond so many bytes."""

    clips: int = 500
    bytes: int = 1_000_000_000

    def __post_init__(self) -> None:
        for name, value in (("clips", self.clips), ("bytes", self.bytes)):
            if value < 1:
                raise ValueError(f"a shard's most {name} is {value}: must be at least 1")


def make_shards(
    inputs: list[Path],
    out: Path,
    cut: Cut,
    limits: Limits,
    topics: list[str] | None = None,
    workers: int = 1,
    ray: bool = False,
    reading: Reading = DEFAULT,
) -> Report:
    """Write the shards that are not in `out` yet.

    Args:
        reading: how a bag's images are read.

    Returns what was written now and what was skipped; a source or clip that cannot be used costs
    only itself.

    Raises:
        FileNotFoundError, ValueError: inputs that are not there.
        SettingsError: `out` was begun with other settings or inputs, or another process writes
            to it.
    """
    sources = find_sources(inputs, topics, reading)
    settings = cut.settings() | {"clips": limits.clips, "bytes": limits.bytes}
    if reading.sample_range != FULL_RANGE:
        settings["sample_range"] = list(reading.sample_range)
    with claimed(out, settings | {"sources": [[s.name, _bytes(s.path)] for s in sources]}):
        planned, known = plan(sources, cut, workers)
        starts = range(0, len(planned), limits.clips)
        shards = [(shard_path(out, n), planned[s : s + limits.clips]) for n, s in enumerate(starts)]
        missing = [shard for shard in shards if not shard[0].exists()]
        work = jobs.Work(make_shard, cut=cut, limits=limits)
        report = jobs.run_jobs(work, missing, workers, ray)
    known.add(report)
    return known


def plan(sources: list[Source], cut: Cut, workers: int = 1) -> tuple[list[PlannedClip], Report]:
    """All clips in order; the sources and clips that cannot be used, and remarks on the others."""
    planned: list[PlannedClip] = []
    report = jobs.Report()
    scan = functools.partial(clips_of, cut=cut)
    scanned = jobs.mapped(scan, list(zip(sources, key_prefixes(sources), strict=True)), workers)
    for clips, known in tqdm(scanned, "scanning", total=len(sources), unit="source"):
        planned += clips
        report.add(known)
    return planned, report


def clips_of(source_and_prefix: tuple[Source, str], cut: Cut) -> tuple[list[PlannedClip], Report]:
    """The clips of one source, with keys that begin with its prefix."""
    (source, prefix), report = source_and_prefix, jobs.Report()
    clips: list[PlannedClip] = []
    try:
        found = source.recording()
        remarks = found.notes + steps_back(found.times)
        report.notes = [f"{source.name}: {remark}" for remark in remarks]
        for start, count in damaged_runs(found.times, found.damaged):
            report.skipped.append(
                f"{count} frames of {source.name}: from {start:.3f} s on they are damaged, or "
                "predicted from damaged ones"
            )
        every = clip_indices(found.times, cut, found.breaks, found.damaged)
        for number, indices in enumerate(every):
            meta = {
                "source": source.name,
                "start": round(found.times[indices[0]], 6),
                "rate": round(clip_rate(found.times, indices), 4),
            }
            clips.append(PlannedClip(f"{prefix}-{number:05d}", source, indices, meta))
    except UNUSABLE as error:
        report.skipped.append(f"{source.name}: {error}")
    return clips, report


def make_shard(job: tuple[Path, list[PlannedClip]], cut: Cut, limits: Limits) -> Report:
    """Write one shard."""
    path, planned = job
    report = jobs.Report()
    with ShardWriter(path, limits.bytes) as shard:
        for clip in made_clips(planned, cut, report):
            shard.add(clip.key, clip_files(clip))
            report.clips += 1
    return report


def made_clips(planned: list[PlannedClip], cut: Cut, report: Report) -> Iterator[Clip]:
    """The clips with their frames; those that cannot be decoded are reported and left out."""
    source: Source | None = None
    frames: Iterator[np.ndarray] = iter(())
    bar = tqdm(planned, "clips", unit="clip", leave=False, disable=not jobs.in_main_process())
    for number, clip in enumerate(bar):
        if clip.source is not source:
            source = clip.source
            following = takewhile(lambda c: c.source is clip.source, planned[number:])  # noqa: B023
            frames = source.frames([index for c in following for index in c.indices])
        try:
            squares = [square(frame, cut.size) for frame in islice(frames, cut.frames)]
        except UNUSABLE as error:
            report.skipped.append(f"clip {clip.key} of {clip.source.name}: {error}")
            source = None  # begin anew behind the damage
            continue
        stacked = np.stack(squares)
        why = _refused(stacked)
        if why:
            report.skipped.append(f"clip {clip.key} of {clip.source.name}: {why}")
            continue
        yield Clip(clip.key, stacked, meta=clip.meta)


def _refused(frames: np.ndarray) -> str:
    """Why a clip cannot be learnt from, if so."""
    change = shot_change(frames)
    if change is not None:
        return f"another shot begins at frame {change}"
    if contrast(frames) < CONTRAST:
        return f"no contrast: {contrast(frames):.0f} grey values, fewer than {CONTRAST}"
    return ""


def _bytes(path: Path) -> int:
    """Size of a file, or of the files of a bag."""
    files = path.iterdir() if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.exists())
