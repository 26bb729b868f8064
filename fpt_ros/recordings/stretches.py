# SPDX-License-Identifier: Apache-2.0
"""Real motion in a recording: stretches of it in which tracked points truly move, as cases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from tqdm import tqdm

from fpt_ros.data.cutting import Cut, clip_indices, contrast, shot_change, square
from fpt_ros.data.moments import camera_is_static, usable
from fpt_ros.data.points import evening_weights, moves
from fpt_ros.data.trackers import load_tracker
from fpt_ros.encodings import ImageError
from fpt_ros.eval.cases import NOISE, POINTS, POKES, Case
from fpt_ros.recordings.cameras import COMPRESSED, RAW, decode, read_message

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float32, UInt8

    from fpt_ros.images import Reading
    from fpt_ros.recordings.reading import Bag, Message

SIDE = 256
"""Of the square pictures in which points are followed, pixels."""
AROUND = 20
"""Columns and rows of the points that are followed, beside the corners."""
CORNERS = 200
ROUND_TRIP = 1.5 / SIDE
"""A track counts if the tracker, begun at its end, comes back this near to its start."""
NEIGHBOURS, ALIKE, REACH = 3, 0.35, 0.15
"""A point that moves counts if so many of the moving points within this reach go the same way, to
this share of the way."""
FEWEST_MOVING, FEWEST_SEEN = 8, 64
"""Points of a case that move, and that are followed at all, at least."""
SHORTEST = 0.02
"""Way of the poke, in picture sides, at least: 5 pixels here."""
CONTRAST = 8


@dataclass(frozen=True)
class Stretch:
    """A question that the recording answers: a case, and when it begins.

    seconds: after the bag's first image.
    """

    case: Case
    topic: str
    seconds: float


@dataclass(frozen=True)
class Search:
    """topics: of the images. horizon: from a question's picture to its answer, seconds. most:
    stretches that are looked at, spread over the recording."""

    topics: list[str]
    horizon: float
    most: int
    reading: Reading


def find_stretches(bag: Bag, search: Search) -> tuple[list[Stretch], int]:
    """The stretches with motion, in order, and how many were looked at.

    Raises:
        ValueError: no topic has as many images in a row as the horizon takes.
    """
    clips = _clips(bag, search)
    spread = np.linspace(0, len(clips) - 1, min(search.most, len(clips))).round().astype(int)
    chosen = [clips[i] for i in spread]
    found = []
    with tqdm(total=len(chosen), desc="looking for motion", unit=" stretches") as bar:
        for topic, seconds, frames in _frames(bag, search, chosen):
            rng = np.random.default_rng([round(seconds * 1000), len(topic)])
            case = make_case(f"{topic} at {seconds:.2f} s", frames, rng)
            found += [] if case is None else [Stretch(case, topic, seconds)]
            bar.update()
    return found, len(chosen)


def _clips(bag: Bag, search: Search) -> list[tuple[str, list[int]]]:
    """Topic and numbers of the images of each stretch of the horizon's length."""
    times: dict[str, list[float]] = {topic: [] for topic in search.topics}
    for message in _images(bag, search):
        stamp = read_message(message).header.stamp
        time = stamp.sec + stamp.nanosec * 1e-9
        times[message.topic].append(time or message.time * 1e-9)
    clips, problems = [], []
    for topic, of in times.items():
        steps = np.diff(of)
        usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else search.horizon
        count = max(round(search.horizon / usual), 1) + 1
        try:
            clips += [(topic, clip) for clip in clip_indices(of, Cut(SIDE, count))]
        except ValueError as error:
            problems.append(f"{topic} {error}")
    if not clips:
        raise ValueError(f"{bag.path}: no stretch of {search.horizon:g} s: {'; '.join(problems)}")
    return clips


def _frames(
    bag: Bag, search: Search, clips: list[tuple[str, list[int]]]
) -> Iterator[tuple[str, float, UInt8[np.ndarray, "t s s 3"]]]:
    """Each clip's topic, begin and square frames; a clip with an image that is broken is left."""
    of = {(topic, n): clip for clip, (topic, numbers) in enumerate(clips) for n in numbers}
    waiting: dict[int, list[np.ndarray]] = {}
    begins: dict[int, float] = {}
    seen = dict.fromkeys(search.topics, 0)
    first = None
    for message in _images(bag, search):
        first = message.time if first is None else first
        number = seen[message.topic]
        seen[message.topic] += 1
        clip = of.get((message.topic, number))
        if clip is None:
            continue
        begins.setdefault(clip, (message.time - first) * 1e-9)
        try:
            frame = square(decode(message, search.reading)[1], SIDE)
        except ImageError:
            continue
        waiting.setdefault(clip, []).append(frame)
        topic, numbers = clips[clip]
        if number == numbers[-1]:
            frames = waiting.pop(clip)
            if len(frames) == len(numbers):
                yield topic, begins[clip], np.stack(frames)


def _images(bag: Bag, search: Search) -> Iterator[Message]:
    return bag.messages(lambda topic, kind: topic in search.topics and kind in (RAW, COMPRESSED))


def make_case(
    key: str, frames: UInt8[np.ndarray, "t s s 3"], rng: np.random.Generator
) -> Case | None:
    """Poke one of the points that truly move from the first frame to the last, ask for the others.

    None where too little moves, or the frames show nothing, or two scenes.
    """
    if contrast(frames) < CONTRAST or shot_change(frames) is not None:
        return None
    points, flow = _reliable_flow(frames)
    if len(points) < FEWEST_SEEN:
        return None
    moving = moves(points, flow, None)
    counts = ~moving | _agrees(points, flow, moving)
    points, flow, moving = points[counts], flow[counts], moving[counts]
    length = np.linalg.norm(flow, axis=-1)
    if moving.sum() < FEWEST_MOVING:
        return None
    long = np.flatnonzero(moving & (length >= max(SHORTEST, float(np.median(length[moving])))))
    if not len(long):
        return None
    poke = int(rng.choice(long))
    others = rng.permutation(np.delete(np.arange(len(points)), poke))[:POINTS]
    asked = points[others]
    return Case(
        key=key,
        image=frames[0],
        camera_static=bool(camera_is_static(flow, None)),
        pokes=np.concatenate([points[poke], flow[poke]])[None].repeat(POKES, 0),
        points=asked,
        flow=flow[others],
        noise=rng.normal(0, NOISE, asked.shape).astype(np.float32),
        moving=moving[others],
        same_body=np.zeros(len(others), bool),
        weight=evening_weights(asked),
    )


def _reliable_flow(
    frames: UInt8[np.ndarray, "t s s 3"],
) -> tuple[Float32[np.ndarray, "n 2"], Float32[np.ndarray, "n 2"]]:
    """Points of the first frame and where they go till the last, where there and back agree."""
    track = load_tracker("lucas-kanade")
    queries = _queries(frames[0])
    tracks, visible = track(frames, queries)
    seen = usable(tracks, visible)[[0, -1]].all(0)
    ends = np.column_stack([np.full(seen.sum(), len(frames) - 1.0), tracks[-1, seen]])
    if not len(ends):
        return np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32)
    back, back_visible = track(frames, ends)
    missed = np.linalg.norm(back[0] - tracks[0, seen], axis=-1)
    good = back_visible[0] & (missed < ROUND_TRIP)
    return tracks[0, seen][good], (tracks[-1] - tracks[0])[seen][good]


def _queries(frame: UInt8[np.ndarray, "s s 3"]) -> Float[np.ndarray, "n 3"]:
    """A grid and corners of the first frame."""
    line = (np.arange(AROUND) + 0.5) / AROUND
    points = [np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)]
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    corners = cv2.goodFeaturesToTrack(grey, CORNERS, 0.005, 5.0)
    if corners is not None:
        points.append((corners.reshape(-1, 2) + 0.5) / len(frame))
    every = np.concatenate(points)
    return np.column_stack([np.zeros(len(every)), every])


def _agrees(
    points: Float32[np.ndarray, "n 2"],
    flow: Float32[np.ndarray, "n 2"],
    moving: Bool[np.ndarray, " n"],
) -> Bool[np.ndarray, " n"]:
    """Points that move as enough of the moving points near them do."""
    found = np.zeros(len(points), bool)
    number = np.flatnonzero(moving)
    near = np.linalg.norm(points[number, None] - points[number], axis=-1) < REACH
    apart = np.linalg.norm(flow[number, None] - flow[number], axis=-1)
    alike = apart < ALIKE * np.linalg.norm(flow[number], axis=-1)[:, None]
    found[number] = (near & alike).sum(1) - 1 >= NEIGHBOURS
    return found
