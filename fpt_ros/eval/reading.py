# SPDX-License-Identifier: Apache-2.0
"""Sets of cases from shards: the same ones for the same shards, skip, number and seed."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from fpt_ros.data import DEFAULT_SKIP
from fpt_ros.data.clips import SampleError, parse_bodies, parse_tracks
from fpt_ros.data.moments import FEWEST_TRACKS, read_moment, start_frames, usable
from fpt_ros.data.points import MOVING, moves
from fpt_ros.data.shards import find_shards, whole_samples
from fpt_ros.eval.cases import NOISE, Case, Cases, make_case

if TYPE_CHECKING:
    from collections.abc import Iterator

STARTS = 3
"""Start frames of one clip at most."""
NAMED = ("metaworld", "gymnasium-robotics")
"""Simulation's sources whose scenes are known by name."""


@dataclass(frozen=True)
class ClipStarts:
    """What a first look at a clip found."""

    frames: int
    starts: list[int]
    """Frames with enough tracks, a target `skip` frames on, and something that moves till then:
    one of each part of the clip."""
    tracked: bool
    """Whether any frame with a target has enough tracks."""
    problem: str = ""
    """Why the sample cannot be read, if so."""


def find_sets(inputs: list[Path]) -> dict[str, list[Path]]:
    """The shards of each set by the set's name: a shard, a folder of shards, or each such folder
    below one without any.

    Raises:
        FileNotFoundError: an input is missing, or no folder in it has shards.
        ValueError: two sets have one name.
    """
    places: dict[Path, list[Path]] = {}
    for path in (path.resolve() for path in inputs):
        for shard in find_shards([path]):
            together = places.setdefault(shard.parent if path.is_dir() else shard, [])
            together += [] if shard in together else [shard]
    found: dict[str, list[Path]] = {}
    for place, shards in places.items():
        name = place.name if place.is_dir() else place.stem
        if name in found:
            raise ValueError(f"two sets are called {name!r}: evaluate one at a time")
        found[name] = shards
    return found


def read_cases(
    name: str,
    shards: list[Path],
    skip: int | None,
    count: int,
    seed: int = 0,
    noise: float = NOISE,
) -> tuple[Cases, int]:
    """At most `count` cases, spread over the clips, in their order, and the skip they have.

    Without a skip it is 25, as in training on videos, or 1 where the first clip is too short for
    that, as simulated ones are. Samples that cannot be read, what comes after the damage of a shard
    that is not whole, and files of no sample are named on standard error and left out.

    Raises:
        ValueError: there is no case at all; the message says why.
    """
    if skip is None:
        skip = _usual_skip(shards)
    left_out: list[str] = []
    samples = _samples(shards, left_out)
    looked_at = tqdm(samples, f"{name}: looking for motion", unit=" clips", leave=False)
    clips = [
        _look(sample, skip, np.random.default_rng([seed, n])) for n, sample in enumerate(looked_at)
    ]
    for text in left_out:
        tqdm.write(f"left out: {text}", file=sys.stderr)
    if not any(clip.starts for clip in clips):
        raise ValueError(f"{name}: {_why_none(clips, skip)}")
    chosen = choose_starts([clip.starts for clip in clips], count, seed)
    cases: list[Case] = []
    total = sum(map(len, chosen))
    with tqdm(total=total, desc=f"{name}: reading", unit=" cases", leave=False) as bar:
        for number, (sample, starts) in enumerate(zip(_samples(shards), chosen, strict=True)):
            for start in starts:
                rng = np.random.default_rng([seed, number, start])
                cases += _cases_at(sample, start, skip, rng, noise)
                bar.update()
    if not cases:
        raise ValueError(f"{name}: none of the clips chosen can be read")
    return Cases(cases), skip


def choose_starts(starts: list[list[int]], count: int, seed: int) -> list[list[int]]:
    """Which start frames of each clip to take, at most `count` together, spread over everything."""
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(found).tolist() for found in starts]
    chosen: list[list[int]] = [[] for _ in starts]
    for turn in range(STARTS):
        clips = [number for number, order in enumerate(orders) if len(order) > turn]
        left = count - sum(map(len, chosen))
        if len(clips) > left:
            clips = [clips[i] for i in np.linspace(0, len(clips) - 1, left).round().astype(int)]
        for number in clips:
            chosen[number].append(orders[number][turn])
    return [sorted(found) for found in chosen]


def _samples(shards: list[Path], left_out: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """What the shards hold. `left_out` takes lines of what is not whole, empty, or of no sample."""
    left_out = [] if left_out is None else left_out
    for shard in shards:
        foreign: list[str] = []
        yield from whole_samples(shard, left_out, foreign)
        if foreign:
            more = ", ..." if len(foreign) > 3 else ""
            left_out.append(f"{len(foreign)} files of no sample: {', '.join(foreign[:3])}{more}")


def _usual_skip(shards: list[Path]) -> int:
    for sample in _samples(shards):
        with contextlib.suppress(SampleError):
            return DEFAULT_SKIP if len(parse_tracks(sample)[0]) > DEFAULT_SKIP else 1
    return DEFAULT_SKIP


def _look(sample: dict[str, Any], skip: int, rng: np.random.Generator) -> ClipStarts:
    """Where a clip could be started from, without decoding its video."""
    try:
        tracks, visibility = parse_tracks(sample)
        bodies = parse_bodies(sample, tracks.shape[1])
    except SampleError as error:
        tqdm.write(f"left out: {error}", file=sys.stderr)
        return ClipStarts(0, [], False, str(error))
    inside = usable(tracks, visibility)
    tracked = start_frames(inside, skip)

    def something_moves(start: int) -> bool:
        here = inside[start]
        points, flow = tracks[start, here], (tracks[start + skip] - tracks[start])[here]
        if bodies is not None:
            return bool(moves(points, flow, bodies[here]).any())
        return bool((inside[start + skip, here] & moves(points, flow, None)).any())

    parts = np.array_split(tracked, STARTS)
    found = (next(filter(something_moves, rng.permutation(part)), None) for part in parts)
    starts = [int(start) for start in found if start is not None]
    return ClipStarts(len(tracks), starts, len(tracked) > 0)


def _cases_at(
    sample: dict[str, Any], start: int, skip: int, rng: np.random.Generator, noise: float
) -> list[Case]:
    try:
        moment = read_moment(sample, start, [skip])
        case = make_case(moment, 0, rng, noise, scene_of(sample))
    except SampleError as error:
        tqdm.write(f"left out: {error}", file=sys.stderr)
        return []
    return [] if case is None else [case]


def scene_of(sample: dict[str, Any]) -> str:
    """A clip's scene: clips of one show the same things.

    That is the video or bag it was cut from; of simulation, the scene's name where things of one
    name are always the same, else the scene's own seed. Without any of these, the clip itself.
    """
    try:
        meta = json.loads(sample.get("meta.json", b"{}"))
    except ValueError:
        meta = {}
    if meta.get("source") in NAMED:
        return str(meta.get("scene"))
    return str(meta.get("seed") or meta.get("source") or sample["__key__"])


def _why_none(clips: list[ClipStarts], skip: int) -> str:
    readable = [clip for clip in clips if not clip.problem]
    if not readable:
        return clips[0].problem if clips else "there is no sample in its shards"
    longest = max(clip.frames for clip in readable)
    if longest <= skip:
        fits = f"--skip {longest - 1} at most fits" if longest > 1 else "no skip fits"
        return f"no clip has a frame {skip} after another; the longest has {longest}: {fits}"
    if not any(clip.tracked for clip in readable):
        return f"no frame with a target {skip} on has {FEWEST_TRACKS} visible tracks to start from"
    return f"no point moves by more than {MOVING} of the picture's side within {skip} frames"
