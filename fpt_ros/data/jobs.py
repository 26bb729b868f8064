# SPDX-License-Identifier: Apache-2.0
"""Many independent jobs, one after another, in several processes, or on several machines."""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import cv2
from tqdm import tqdm

T = TypeVar("T")


@dataclass
class Report:
    """What became of a job, or of all: clips written, each thing that was skipped, with why, and
    what else a person should know."""

    clips: int = 0
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, other: Report) -> None:
        self.clips += other.clips
        self.skipped += other.skipped
        self.notes += other.notes


class Work:
    """A function of one job, to be sent to other processes."""

    def __init__(self, function: Callable[..., Report], **arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __call__(self, job: Any) -> Report:
        cv2.setNumThreads(1)  # the processes share the cores
        return self.function(job, **self.arguments)


def run_jobs(work: Work, jobs: list[Any], workers: int = 1, ray: bool = False) -> Report:
    """Do every job, in any order, with a progress bar. The folders must be shared where machines
    are several.

    Raises what a job raises, and RuntimeError where Ray is wanted and not installed.
    """
    total = Report()
    if not jobs:
        return total
    if ray:
        results = _with_ray(work, jobs, workers)
    elif workers > 1 and len(jobs) > 1:
        results = _with_processes(work, jobs, workers)
    else:
        results = map(work, jobs)
    for report in tqdm(results, total=len(jobs), unit="shard"):
        total.add(report)
    total.skipped.sort()
    total.notes.sort()
    return total


def mapped(function: Callable[[Any], T], things: list[Any], workers: int) -> Iterator[T]:
    """The function of each thing, in order, in so many processes."""
    if workers < 2 or len(things) < 2:
        yield from map(function, things)
        return
    with multiprocessing.get_context("spawn").Pool(min(workers, len(things))) as pool:
        yield from pool.imap(function, things)


def _with_processes(work: Work, jobs: list[Any], workers: int) -> Iterator[Report]:
    with multiprocessing.get_context("spawn").Pool(min(workers, len(jobs))) as pool:
        yield from pool.imap_unordered(work, jobs)


def _with_ray(work: Work, jobs: list[Any], workers: int) -> Iterator[Report]:
    """Through Ray Data, on the cluster that RAY_ADDRESS names, or on this machine."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise RuntimeError("--ray needs Ray: pip install 'fpt_ros[ray]'") from error
    if not ray.is_initialized():
        cluster = "RAY_ADDRESS" in os.environ
        alone: dict[str, Any] = {"object_store_memory": 100_000_000, "include_dashboard": False}
        ray.init(log_to_driver=False, **({} if cluster else alone))
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False  # there is one already

    def process(row: dict[str, int]) -> dict[str, Any]:
        report = work(jobs[row["id"]])
        return {"clips": report.clips, "skipped": report.skipped, "notes": report.notes}

    rows = ray.data.range(len(jobs), override_num_blocks=len(jobs))
    for row in rows.map(process, concurrency=workers if workers > 1 else None).iter_rows():
        texts = ([str(text) for text in row[name]] for name in ("skipped", "notes"))
        yield Report(int(row["clips"]), *texts)


def in_main_process() -> bool:
    """Whether a job may show progress of its own."""
    return multiprocessing.parent_process() is None and "RAY_JOB_ID" not in os.environ
