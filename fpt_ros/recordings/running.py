# SPDX-License-Identifier: Apache-2.0
"""`fpt-bag run`: the model over the images of a bag, to a new bag."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from fpt_ros.recordings.cameras import COMPRESSED, RAW, choose_topics, output_topics
from fpt_ros.recordings.following import follow
from fpt_ros.recordings.predicting import Answer, Asking, Job, answers
from fpt_ros.recordings.reading import Bag, Message, open_bag
from fpt_ros.recordings.unfinished import BagWriter, finished_settings, unfinished_bag

if TYPE_CHECKING:
    from jaxtyping import Float

    from fpt_ros.recordings.pokes_file import TimedPoke

SECOND = 10**9

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """What is asked of a bag.

    topics: of the images; None: all that are pictures. every: of each topic's images every so
    many-th, from the first. with_images: copy these to the new bag. sha256: of the checkpoint.
    """

    pokes: list[TimedPoke]
    asking: Asking
    sha256: str
    topics: list[str] | None = None
    every: int = 1
    with_images: bool = False

    def settings(self, name: str) -> dict[str, Any]:
        """All that the new bag depends on, for JSON."""
        asking = dataclasses.asdict(self.asking)
        reading = asking.pop("reading")
        asking |= {"sample_range": reading["sample_range"], "checkpoint": self.sha256}
        del asking["allow_download"], asking["device"]
        pokes = [
            {k: v for k, v in dataclasses.asdict(poke).items() if v not in (None, np.inf)}
            for poke in self.pokes
        ]
        rest = {"topics": self.topics, "every": self.every, "with_images": self.with_images}
        found = {"bag": name, **asking, **rest, "pokes": pokes}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in found.items()}


@dataclass
class Report:
    """What became of a run. images: that were predicted on; before: by runs that were killed.
    lost: of each followed poke that was not seen all the time, when, and why."""

    images: int = 0
    before: int = 0
    notes: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)


def run_bag(source: Path, out: Path, run: Run, workers: int) -> Report:
    """Predict on a bag's images and write what the node would publish to `out`.

    Raises:
        FileNotFoundError, FileExistsError: the bag is not there, or something else is at `out`.
        ValueError: nothing to read, or a poke that is not on the images.
    """
    settings = run.settings(source.resolve().name)
    if out.exists() and finished_settings(out) == settings:
        return Report(notes=[f"{out} is finished already"])
    if out.exists():
        raise FileExistsError(f"{out}: exists already, and is not what this run would write")
    bag = open_bag(source)
    topics, notes = choose_topics(bag, run.topics, run.asking.reading)
    _check_poke_topics(run.pokes, topics)
    report = Report(notes=notes)
    out.parent.mkdir(parents=True, exist_ok=True)
    with unfinished_bag(out, settings) as (writer, written):
        jobs = _jobs(bag, topics, run, report)
        total = sum(
            -(-bag.counts.get((t, k), 0) // run.every) for t in topics for k in (RAW, COMPRESSED)
        )
        with tqdm(total=total, unit=" images", desc=out.name) as bar:
            _write_again(jobs, written, writer, report, bar)
            for job, answer in answers(jobs, run.asking, workers):
                _write(job, answer, run, writer, report)
                bar.update()
        report.damage = list(bag.damage)
    return report


def _write_again(
    jobs: Iterator[Job],
    written: Iterator[list[Message]],
    writer: BagWriter,
    report: Report,
    bar: tqdm[Any],
) -> None:
    """Copy what a run before has written, and pass over its images and those it could not read."""
    for messages in written:
        writer.write(messages)
        report.images += 1
        report.before += 1
        motion = messages[-1]
        for job in jobs:
            bar.update()
            if (job.namespace, job.image.time) == (motion.topic.rpartition("/")[0], motion.time):
                break


def _write(job: Job, answer: Answer, run: Run, writer: BagWriter, report: Report) -> None:
    messages, why = answer
    if why:
        report.unreadable.append(f"{job.image.topic} at {job.image.time / SECOND:.3f} s: {why}")
        return
    report.images += 1
    writer.write([job.image, *messages] if run.with_images else messages)


def _jobs(bag: Bag, topics: list[str], run: Run, report: Report) -> Iterator[Job]:
    """Every n-th image of each topic, with its pokes. Those that the tracker loses are reported."""
    namespaces = output_topics(topics)
    fixed = {t: [p for p in run.pokes if not p.follow and p.topic in (None, t)] for t in topics}
    moving = {t: [p for p in run.pokes if p.follow and p.topic in (None, t)] for t in topics}
    places: dict[str, Float[np.ndarray, "t p 2"]] = {}
    if any(moving.values()):
        total = sum(bag.counts.get((t, k), 0) for t in topics for k in (RAW, COMPRESSED))
        images = tqdm(_images(bag, topics), "following the pokes", total, unit=" images")
        places, report.lost = follow(images, moving, run.asking.reading)
        for line in report.lost:
            _log.warning("%s", line)
    seen = dict.fromkeys(topics, 0)
    for image, seconds in _images(bag, topics):
        topic, number = image.topic, seen[image.topic]
        seen[topic] += 1
        if number % run.every:
            continue
        pokes = [(p.x, p.y, p.dx, p.dy) for p in fixed[topic] if p.holds(topic, seconds)]
        for poke, (x, y) in zip(
            moving[topic], places[topic][number] if moving[topic] else (), strict=True
        ):
            if poke.holds(topic, seconds) and not np.isnan(x):
                pokes.append((float(x), float(y), poke.dx, poke.dy))
        yield Job(image, np.array(pokes, np.float32).reshape(-1, 4), namespaces[topic])


def _images(bag: Bag, topics: list[str]) -> Iterator[tuple[Message, float]]:
    """The images of these topics in the bag's order, and how many seconds into it each is."""
    first = None
    for image in bag.messages(lambda topic, kind: topic in topics and kind in (RAW, COMPRESSED)):
        first = image.time if first is None else first
        yield image, (image.time - first) / SECOND


def _check_poke_topics(pokes: list[TimedPoke], topics: list[str]) -> None:
    for poke in pokes:
        if poke.topic is not None and poke.topic not in topics:
            raise ValueError(
                f"a poke is for the topic {poke.topic}: must be one of {', '.join(topics)}"
            )
