# SPDX-License-Identifier: Apache-2.0
"""Which tracks to believe that something moves: those that several checks agree on.

A tracker drags points along with what passes them, with shadows and with edges. As labels such
tracks are worse than none: they teach that what stays moves. So a track has to be found again from
its other end and, step for step, by another flow. And where it leaves its place, the picture has to
show on all its sides that it is this piece that went, and not only an edge of something beside it:
most false tracks are of plain ground just outside the outline of what moves, whose windows hold
nothing but that outline. What fails is hidden wherever it is away from its place; there it stays a
label of a point that stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Int, UInt8

    from fpt_ros.data.trackers import Tracker

AWAY = 1.0
"""Pixels beyond which a point has left its place: half of what counts as moved, so that two frames
at its place never make a label that it moves."""
STILL, STILL_SHARE = 0.2, 0.2
"""The camera stands still from one frame to the next where more than this share of the points moves
by fewer pixels."""
AGREEMENT = 0.5
"""Pixels that a track found again from its other end may be off, anywhere."""
STEP = 0.5
"""Pixels that another flow, there or back, may differ in any step."""
RADIUS = 5
"""Of the piece of picture round a point that has to have gone with it, pixels."""
NOISE, CLEARLY = 5.0, 20.0
"""Values (0 to 255, of the colour channel that differs most) by which one of two explanations of a
pixel has to be the better one to speak for moving, and for staying."""
SIDES, STRIP = 16, 1.5
"""Halves of that piece in so many directions, each without a strip of so many pixels at its
straight edge: along an outline through the point one half is empty."""
WENT, STAYED = 0.05, 0.01
"""Share of the pixels of each half that speak for moving, at least, and of all for staying, at
most."""

LIGHT = 1.5
"""Times the difference that a change of light (one gain, one offset) leaves between the pieces at
the point's two places: more has to be left where the point stays."""


def believed(
    frames: UInt8[np.ndarray, "t s s 3"],
    tracks: Float32[np.ndarray, "t n 2"],
    visible: Bool[np.ndarray, "t n"],
    track: Tracker,
) -> Bool[np.ndarray, "t n"]:
    """Visibility without what is doubtful: of tracks that fail a check, all but the frames in which
    they are at their place.

    For tracks that are not found again that is where they began in the picture, for others where
    the camera's motion takes it.

    Args:
        tracks: in [0, 1] of the frame.
        track: what found them; it is asked again from each track's both ends.
    """
    pixels = tracks * np.float32(frames.shape[1]) - np.float32(0.5)
    first = visible.argmax(0)
    last = len(frames) - 1 - visible[::-1].argmax(0)
    found = _disagreement(frames, tracks, visible, track, (first, last)) <= AGREEMENT
    found &= _other_steps(frames, pixels, visible) <= STEP
    shift = pixels - pixels[first, np.arange(len(first))]
    left = _left(pixels, visible, first)
    went = _went_on_all_sides(frames, pixels, left, first, _furthest(left, visible))
    doubtful = ~found & (np.linalg.norm(shift, axis=-1) > AWAY)
    doubtful |= ~went & (np.linalg.norm(left, axis=-1) > AWAY)
    return visible & ~doubtful


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


def _other_steps(
    frames: UInt8[np.ndarray, "t s s 3"],
    pixels: Float32[np.ndarray, "t n 2"],
    visible: Bool[np.ndarray, "t n"],
) -> Float32[np.ndarray, " n"]:
    """The most, in pixels, by which a track's step between two frames that it is seen in differs
    from dense flow (Kroeger et al., Fast Optical Flow using Dense Inverse Search, 2016)."""
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    library: Any = cv2  # its type hints know no dense inverse search
    flow = library.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    worst = np.zeros(pixels.shape[1], np.float32)
    for now in range(len(frames) - 1):
        seen = np.flatnonzero(visible[now] & visible[now + 1])
        if not len(seen):
            continue
        here, there = pixels[now, seen], pixels[now + 1, seen]
        for one, other, start, end in ((now, now + 1, here, there), (now + 1, now, there, here)):
            dense = flow.calc(grey[one], grey[other], None)
            off = np.linalg.norm(_values(dense, start) - (end - start), axis=1)
            worst[seen] = np.maximum(worst[seen], off)
    return worst


def _furthest(
    left: Float32[np.ndarray, "t n 2"], visible: Bool[np.ndarray, "t n"]
) -> Int[np.ndarray, " n"]:
    """The frame in which each point is seen furthest from its place."""
    return np.where(visible, np.linalg.norm(left, axis=-1), -1).argmax(0)


def _went_on_all_sides(
    frames: UInt8[np.ndarray, "t s s 3"],
    pixels: Float32[np.ndarray, "t n 2"],
    left: Float32[np.ndarray, "t n 2"],
    first: Int[np.ndarray, " n"],
    far: Int[np.ndarray, " n"],
) -> Bool[np.ndarray, " n"]:
    """Whether the piece of picture round each point went with it from its first frame to the one in
    which it is furthest away.

    A pixel of it speaks for moving where it looks the same at the point's two places, and both
    places changed; for staying where the pixel at one of the two places rather looks the same in
    both frames. A passing shadow or shine, on which there is nothing else to see, is told by what
    a change of light explains.
    """
    numbers = np.arange(len(first))
    start, end, way = pixels[first, numbers], pixels[far, numbers], left[far, numbers]
    before, after = _pieces(frames, first, start), _pieces(frames, far, end)
    start_later, end_earlier = _pieces(frames, far, end - way), _pieces(frames, first, start + way)
    moved = np.abs(before - after).max(-1)
    stayed = np.minimum(np.abs(before - start_later).max(-1), np.abs(after - end_earlier).max(-1))
    halves = _halves()
    speaks = (stayed > moved + NOISE).astype(np.float32)
    on_sides = speaks @ (halves / halves.sum(1, keepdims=True)).T
    against = (stayed < moved - CLEARLY).mean(1)
    lit = np.minimum(_but_for_light(before, start_later), _but_for_light(after, end_earlier))
    by_light = lit <= LIGHT * _but_for_light(before, after)
    return (on_sides > WENT).all(1) & (against < STAYED) & ~by_light


def _but_for_light(
    ones: Float32[np.ndarray, "n patch 3"], others: Float32[np.ndarray, "n patch 3"]
) -> Float32[np.ndarray, " n"]:
    """Mean difference that is left between pieces after the best gain and offset of the second."""
    one, other = (values.reshape(len(values), -1) for values in (ones, others))
    one, other = (values - values.mean(1, keepdims=True) for values in (one, other))
    gain = (one * other).sum(1) / np.maximum((other * other).sum(1), 1)
    return np.abs(one - gain[:, None] * other).mean(1)


def _halves() -> Float32[np.ndarray, "sides patch"]:
    """1 for the pixels of the piece round a point that lie clearly on one side of it."""
    down, right = (axis.ravel() for axis in np.mgrid[-RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1])
    angles = np.arange(SIDES)[:, None] * 2 * np.pi / SIDES
    beyond = down * np.sin(angles) + right * np.cos(angles) > STRIP
    return (beyond & (np.hypot(down, right) <= RADIUS + 0.5)).astype(np.float32)


def _pieces(
    frames: UInt8[np.ndarray, "t s s 3"],
    times: Int[np.ndarray, " n"],
    points: Float32[np.ndarray, "n 2"],
) -> Float32[np.ndarray, "n patch 3"]:
    """The colours round points, each in its frame."""
    offsets = np.arange(-RADIUS, RADIUS + 1, dtype=np.float32)
    down, right = (axis.ravel() for axis in np.meshgrid(offsets, offsets, indexing="ij"))
    around = points[:, None] + np.stack([right, down], -1)
    found = np.zeros((*around.shape[:2], 3), np.float32)
    for time in np.unique(times):
        found[times == time] = _values(frames[time], around[times == time])
    return found


def _values(
    picture: np.ndarray, points: Float32[np.ndarray, "*n 2"]
) -> Float32[np.ndarray, "*n channels"]:
    """A picture's values at points [px], between its pixels too."""
    x, y = points.reshape(len(points), -1, 2).transpose(2, 0, 1)
    found = cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return found.reshape(*points.shape[:-1], -1).astype(np.float32)
