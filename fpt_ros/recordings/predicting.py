# SPDX-License-Identifier: Apache-2.0
"""One image after another through the model, in as many processes as there are cores.

Each process computes on one thread: that is fastest for many images, and the same numbers come
out whatever the number of processes.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from fpt_ros.encodings import ImageError
from fpt_ros.engine.motion import Motion
from fpt_ros.images import DEFAULT, Reading
from fpt_ros.inference.view import grid_points
from fpt_ros.recordings.cameras import decode
from fpt_ros.recordings.outputs import output_messages
from fpt_ros.recordings.reading import Message

if TYPE_CHECKING:
    from jaxtyping import Float32, UInt8

    from fpt_ros.inference.predictor import Predictor

WAITING = 4
"""Images that are read ahead for each process."""


@dataclass(frozen=True)
class Asking:
    """How the model is asked, as the node's parameters of these names say."""

    checkpoint: str = "embedded"
    allow_download: bool = False
    device: str = "auto"
    fit: str = "crop"
    grid: tuple[int, int] = (32, 24)
    camera_moving: bool = False
    reading: Reading = DEFAULT
    spread: float = 1.0
    """Of a calibration, see `fpt_ros.inference.calibration`."""


@dataclass(frozen=True)
class Job:
    """An image, the pokes on it, and the namespace of what comes of it."""

    image: Message
    pokes: Float32[np.ndarray, "P 4"]
    namespace: str


Answer = tuple[list[Message], str]
"""Of a job: messages, or none and why."""


class Worker:
    """Answers jobs."""

    def __init__(self, asking: Asking) -> None:
        """CheckpointError, ValueError: as `Predictor.from_checkpoint`."""
        from fpt_ros.inference.predictor import Predictor

        self.asking = asking
        self.predictor: Predictor = Predictor.from_checkpoint(
            asking.checkpoint,
            asking.device,
            fit=asking.fit,
            allow_download=asking.allow_download,
        )
        self.predictor.spread = asking.spread

    def answer(self, job: Job) -> Answer:
        """ValueError for a poke that is not on the image."""
        try:
            header, rgb = decode(job.image, self.asking.reading)
        except ImageError as error:
            return [], str(error)
        try:
            motion = self._motion(rgb, job.pokes, header)
        except ValueError as error:
            where = f"{job.image.topic} at {job.image.time * 1e-9:.3f} s"
            raise ValueError(f"{where}: of the pokes on it, {error}") from error
        return output_messages(motion, rgb, job.namespace, job.image.time), ""

    def _motion(
        self, rgb: UInt8[np.ndarray, "h w 3"], pokes: Float32[np.ndarray, "P 4"], header: Any
    ) -> Motion:
        """On the grid; `header` is the image's."""
        asking, (height, width) = self.asking, rgb.shape[:2]
        points = grid_points(width, height, *asking.grid)
        context = self.predictor.embed(rgb)
        mixture = self.predictor.predict(context, pokes, points, asking.camera_moving)
        weights, means, covariances = (
            np.asarray(array, np.float32)
            for array in (mixture.weights, mixture.locs, mixture.covariances)
        )
        return Motion(
            pokes,
            points,
            weights,
            means,
            covariances,
            (width, height),
            asking.camera_moving,
            asking.grid,
            self.predictor.info.horizon,
            header,
        )


_worker: Worker


def _start(asking: Asking) -> None:
    import torch

    global _worker
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    _worker = Worker(asking)


def _end_with_parent() -> None:
    """A process whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _answer(job: Job) -> Answer:
    return _worker.answer(job)


def answers(jobs: Iterator[Job], asking: Asking, workers: int) -> Iterator[tuple[Job, Answer]]:
    """Each job with its answer, in order; few jobs are taken ahead.

    Raises what a worker raises, and RuntimeError where a process was killed.
    """
    if workers < 2:
        with _one_thread():
            worker = Worker(asking)
            for job in jobs:
                yield job, worker.answer(job)
        return
    with _pool(asking, workers) as pool:
        waiting: deque[tuple[Job, Future[Answer]]] = deque()
        for job in islice(jobs, WAITING * workers):
            waiting.append((job, pool.submit(_answer, job)))
        while waiting:
            job, future = waiting.popleft()
            yield job, future.result()
            for following in islice(jobs, 1):
                waiting.append((following, pool.submit(_answer, following)))


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


@contextmanager
def _pool(asking: Asking, workers: int) -> Iterator[ProcessPoolExecutor]:
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, spawn, initializer=_start, initargs=(asking,))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
