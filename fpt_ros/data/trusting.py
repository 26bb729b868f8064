# SPDX-License-Identifier: Apache-2.0
"""Which tracks to believe that something moves: those that several checks agree on.

A tracker drags points along with what passes them, with shadows and with edges. As labels such
tracks are worse than none: they teach that what stays moves. So where a track leaves its place, all
of it has to be found again from its other end, it must look alike all along, and the points round
it must have gone with it. What fails is hidden wherever it is away from its place; there it stays a
label of a point that stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from fpt_ros.data.lucas_kanade import looks

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, UInt8

    from fpt_ros.data.trackers import Tracker

AWAY = 2.0
"""Pixels from where the camera's motion would have it beyond which a point has left its place."""
AGREEMENT = 0.1
"""Pixels that a track found again from its other end may be off, anywhere."""
ALIKE = 0.8
"""Correlation of the looks with those at the track's first frame."""
CHANGED = 5.0
"""Mean difference (0 to 255) of the looks in a wider window."""
NARROW, WIDE = 4, 7
"""Half the sides of the two windows, pixels."""
ABOUT = 16.0
"""Pixels within which other points are companions."""
STILL, STILL_SHARE = 0.2, 0.2
"""The camera stands still from one frame to the next where more than this share of the points moves
by fewer pixels."""
LAG = 10
"""Frames over which they have to go with it."""
MOVED, STAYS = 1.0, 0.5
"""Pixels, meanwhile: of a point that moved, at least, and of a companion that stayed, at most."""
WITH_IT = 1.0, 0.1
"""Pixels, and pixels for each one of distance, that companions' displacements may differ."""
FEWEST = 2
"""Companions that went with it."""


def believed(
    frames: UInt8[np.ndarray, "t s s 3"],
    tracks: Float32[np.ndarray, "t n 2"],
    visible: Bool[np.ndarray, "t n"],
    track: Tracker,
) -> Bool[np.ndarray, "t n"]:
    """Visibility without what is doubtful: of tracks that fail a check, all but the frames in which
    they are at their place.

    Args:
        tracks: in [0, 1] of the frame.
        track: what found them; it is asked again from each track's both ends.
    """
    size = frames.shape[1]
    pixels = tracks * np.float32(size) - np.float32(0.5)
    seen = visible.any(0)
    first = visible.argmax(0)
    last = len(frames) - 1 - visible[::-1].argmax(0)
    left = _left(pixels, visible, first)
    doubtful = ~seen | (_disagreement(frames, tracks, visible, track, (first, last)) > AGREEMENT)
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])
    doubtful |= ~_looks_alike(grey, pixels, visible, first)
    doubtful |= ~_in_company(pixels, visible, left)
    return visible & ~(doubtful & (np.linalg.norm(left, axis=-1) > AWAY))


def _left(
    pixels: Float32[np.ndarray, "t n 2"],
    visible: Bool[np.ndarray, "t n"],
    first: np.ndarray,
) -> Float32[np.ndarray, "t n 2"]:
    """How far each point is, in pixels, from where the camera's motion takes its first place: by
    the homographies that most points follow from frame to frame, one after the other."""
    count, points = visible.shape
    left = np.zeros_like(pixels)
    place = np.zeros((points, 2), np.float32)
    for now in range(count):
        begins = first == now
        place[begins] = pixels[now, begins]
        left[now] = pixels[now] - place
        both = visible[now] & visible[min(now + 1, count - 1)]
        if now + 1 == count or both.sum() < 4:
            continue
        here, there = pixels[now, both], pixels[now + 1, both]
        if np.mean(np.linalg.norm(there - here, axis=1) < STILL) > STILL_SHARE:
            continue
        found, _ = cv2.findHomography(here, there, cv2.RANSAC, 1.0)
        if found is not None:
            place = cv2.perspectiveTransform(place[None], found)[0]
    return left


def _disagreement(
    frames: UInt8[np.ndarray, "t s s 3"],
    tracks: Float32[np.ndarray, "t n 2"],
    visible: Bool[np.ndarray, "t n"],
    track: Tracker,
    ends: tuple[np.ndarray, np.ndarray],
) -> Float32[np.ndarray, " n"]:
    """The furthest, in pixels, that a track found from one of its ends is off between them; no
    less than infinite where that one is hidden and this one is seen."""
    numbers = np.arange(tracks.shape[1])
    times = np.arange(len(frames))[:, None]
    between = (times >= ends[0]) & (times <= ends[1])
    worst = np.zeros(len(numbers), np.float32)
    for end in ends:
        again, found = track(frames, np.column_stack([end, tracks[end, numbers]]))
        off = np.linalg.norm(again - tracks, axis=-1) * np.float32(len(frames[0]))
        off[visible & ~found] = np.inf
        worst = np.maximum(worst, np.where(between, off, 0).max(0))
    return worst


def _looks_alike(
    grey: UInt8[np.ndarray, "t s s"],
    pixels: Float32[np.ndarray, "t n 2"],
    visible: Bool[np.ndarray, "t n"],
    first: np.ndarray,
) -> Bool[np.ndarray, " n"]:
    """Whether each point looks as in its first frame, wherever it is seen."""
    numbers = np.arange(pixels.shape[1])
    alike = np.ones(len(numbers), bool)
    start = pixels[first, numbers]
    narrow, wide = (
        np.stack([looks(grey[at], start[[i]], r)[0] for i, at in enumerate(first)])
        for r in (NARROW, WIDE)
    )
    for now, seen in enumerate(visible):
        here = pixels[now, seen]
        same = _correlation(narrow[seen], looks(grey[now], here, NARROW)) > ALIKE
        change = np.abs(wide[seen] - looks(grey[now], here, WIDE)).mean(1)
        alike[np.flatnonzero(seen)[~same | (change > CHANGED)]] = False
    return alike


def _correlation(
    one: Float32[np.ndarray, "n p"], other: Float32[np.ndarray, "n p"]
) -> Float32[np.ndarray, " n"]:
    one, other = (values - values.mean(1, keepdims=True) for values in (one, other))
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.einsum("np,np->n", one, other) / (lengths + 20)


def _in_company(
    pixels: Float32[np.ndarray, "t n 2"],
    visible: Bool[np.ndarray, "t n"],
    left: Float32[np.ndarray, "t n 2"],
) -> Bool[np.ndarray, " n"]:
    """Whether those about each point went with it, and none stayed, whenever it moved."""
    found = np.ones(pixels.shape[1], bool)
    for end in range(LAG, len(pixels), LAG // 2):
        begin = end - LAG
        both = np.flatnonzero(visible[begin] & visible[end])
        went = left[end, both] - left[begin, both]
        length = np.linalg.norm(went, axis=1)
        distance = np.linalg.norm(pixels[begin, both, None] - pixels[begin, both], axis=-1)
        differ = np.linalg.norm(went[:, None] - went, axis=-1)
        about = (distance < ABOUT) & ~np.eye(len(both), dtype=bool)
        with_it = about & (differ < WITH_IT[0] + WITH_IT[1] * distance)
        alone = (with_it.sum(1) < FEWEST) | (about & (length < STAYS)).any(1)
        found[both[alone & (length > MOVED)]] = False
    return found
