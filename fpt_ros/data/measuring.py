# SPDX-License-Identifier: Apache-2.0
"""`fpt-data measure`: how good a tracker is on simulated clips, whose tracks are known exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from fpt_ros.data.clips import decode_video, encode_video
from fpt_ros.data.labels import LABEL_SKIP, MOVING, NEAR, judged, label_figures, labelled
from fpt_ros.data.query_points import draw_queries
from fpt_ros.data.simulated import simulate
from fpt_ros.data.trusting import believed
from fpt_ros.simulation.views import exact_tracks

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

    from fpt_ros.data.trackers import Tracker, Tracks
    from fpt_ros.simulation.views import View

TEXTURED = 10.0
"""Grey values (0 to 255) by which the 9 x 9 pixels round a textured point vary at least."""
LABEL_STARTS = 4
"""Frames from one label's picture to the next."""

FIRST_SEED = 1000
"""The settings of the built-in tracker and of `trusting` were chosen on clips of lower seeds."""


def measure(
    trackers: dict[str, Tracker], clips: int, size: int, points: int = 256, frames: int = 50
) -> dict[str, dict[str, float]]:
    """Figures of each tracker, see `figures` (means over simulated clips) and `label_figures` (of
    all clips' labels together)."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in trackers}
    labels: dict[str, dict[str, list]] = {name: {} for name in trackers}
    for seed in tqdm(range(FIRST_SEED, FIRST_SEED + clips), "simulated clips", unit="clip"):
        clip = simulate(seed, frames, size)
        seen = decode_video(encode_video(clip.frames))  # with the marks of compression
        queries = draw_queries(seen, points, np.random.default_rng([seed, 1]))
        truth = exact_tracks(clip.views, queries)
        textured = _contrast(seen, queries) > TEXTURED
        for name, track in trackers.items():
            tracked = track(seen, queries)
            found[name].append(figures(tracked, truth, queries, size, textured))
            kept = believed(seen, *tracked, track)
            camera = "static" if seed % 2 == 0 else "moving"
            labels[name].setdefault(camera, []).append(clip_labels(clip.views, tracked, kept, size))
    return {
        name: {key: float(np.nanmean([row[key] for row in rows])) for key in rows[0]}
        | {
            f"{key}, {camera} camera": value
            for camera, parts in labels[name].items()
            for key, value in label_figures(np.concatenate(parts)).items()
        }
        for name, rows in found.items()
    }


def clip_labels(
    views: list[View], tracked: Tracks, kept: Bool[np.ndarray, "t n"], size: int
) -> Bool[np.ndarray, "l 4"]:
    """What training would take from a clip's tracks, all of them and only those that are believed,
    see `judged`."""
    tracks = tracked[0]
    found = []
    for start in range(0, len(tracks) - LABEL_SKIP, LABEL_STARTS):
        end = start + LABEL_SKIP
        there = labelled(tracked, start)
        asked = np.column_stack([np.full(len(there), start), tracks[start, there]])
        truth = exact_tracks(views, asked)[0]
        flow = (tracks[end, there] - tracks[start, there]) * size
        true_flow = (truth[end] - truth[start]) * size
        found.append(judged(flow, true_flow, kept[start, there] & kept[end, there]))
    return np.concatenate(found)


def figures(
    tracked: Tracks,
    truth: Tracks,
    queries: Float[np.ndarray, "n 3"],
    size: int,
    textured: Bool[np.ndarray, " n"],
) -> dict[str, float]:
    """Shares of (frame, point) pairs, those of the queries themselves left out.

    within: of points that are seen, at most NEAR pixels from the truth; moved: of those that
    moved; textured: with something to follow; labelled: that the tracker also calls visible.
    occlusion: visibility right; seen, hidden: of points that are seen, or hidden.
    """
    start = queries[:, 0].astype(int)
    error = np.linalg.norm(tracked[0] - truth[0], axis=-1) * size
    way = np.linalg.norm(truth[0] - truth[0][start, np.arange(len(start))], axis=-1) * size
    asked = np.arange(len(error))[:, None] != start
    seen, close, right = asked & truth[1], error <= NEAR, tracked[1] == truth[1]
    groups = {
        "within": (close, seen),
        "within, moved": (close, seen & (way > MOVING)),
        "within, moved, textured": (close, seen & (way > MOVING) & textured),
        "within, labelled": (close, seen & tracked[1]),
        "within, moved, labelled": (close, seen & (way > MOVING) & tracked[1]),
        "occlusion": (right, asked),
        "occlusion, seen": (right, seen),
        "occlusion, hidden": (right, asked & ~truth[1]),
    }
    return {
        name: float(value[of].mean()) if of.any() else np.nan
        for name, (value, of) in groups.items()
    }


def _contrast(
    frames: UInt8[np.ndarray, "t s s 3"], queries: Float[np.ndarray, "n 3"]
) -> Float[np.ndarray, " n"]:
    """Standard deviation of the grey values round each point, in its frame."""
    found = np.zeros(len(queries))
    for index, (time, *point) in enumerate(queries):
        x, y = (np.array(point) * frames.shape[1]).astype(int)
        patch = frames[int(time), max(y - 4, 0) : y + 5, max(x - 4, 0) : x + 5]
        found[index] = patch.mean(-1).std()
    return found
