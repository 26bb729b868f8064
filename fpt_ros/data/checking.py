# SPDX-License-Identifier: Apache-2.0
"""`fpt-data measure --real`: a tracker's labels on real clips in which things move, beside
where their parts are in truth.

The clips and the outlines of their parts in the first and the last frame lie in
`fpt_ros/data/checked/`, with source, licence, and how the outlines were set. A part is flat: the
homography between its outlines says where each of its points goes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from tqdm import tqdm

from fpt_ros.data.clips import decode_video
from fpt_ros.data.labels import LABEL_SKIP, judged, label_figures, labelled
from fpt_ros.data.query_points import draw_queries
from fpt_ros.data.trusting import believed

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

    from fpt_ros.data.trackers import Tracker

FOLDER = Path(__file__).parent / "checked"
POINTS = 512
"""As many as `fpt-data track` follows."""


@dataclass(frozen=True)
class Part:
    """A flat thing's outline in a clip's first frame and LABEL_SKIP frames later, pixels."""

    first: Float[np.ndarray, "k 2"]
    last: Float[np.ndarray, "k 2"]


@dataclass(frozen=True)
class CheckedClip:
    frames: UInt8[np.ndarray, "t s s 3"]
    parts: list[Part]


def read_checked(folder: Path = FOLDER) -> list[CheckedClip]:
    """All clips with their parts.

    Raises:
        ValueError: a clip cannot be decoded, or has too few frames.
    """
    clips = []
    for entry in json.loads((folder / "parts.json").read_text()):
        frames = decode_video((folder / entry["clip"]).read_bytes())
        if len(frames) <= LABEL_SKIP:
            raise ValueError(
                f"{entry['clip']}: {len(frames)} frames: more than {LABEL_SKIP} needed"
            )
        parts = [Part(np.array(p["first"]), np.array(p["last"])) for p in entry["parts"]]
        clips.append(CheckedClip(frames, parts))
    return clips


def check(trackers: dict[str, Tracker], clips: list[CheckedClip]) -> dict[str, dict[str, float]]:
    """Figures of each tracker's labels of all clips together, see `label_figures`."""
    labels: dict[str, list[np.ndarray]] = {name: [] for name in trackers}
    for number, clip in enumerate(tqdm(clips, "real clips", unit="clip")):
        queries = draw_queries(clip.frames, POINTS, np.random.default_rng(number))
        for name, track in trackers.items():
            labels[name].append(part_labels(clip, track, queries))
    return {name: label_figures(np.concatenate(found)) for name, found in labels.items()}


def part_labels(
    clip: CheckedClip, track: Tracker, queries: Float[np.ndarray, "n 3"]
) -> Bool[np.ndarray, "l 4"]:
    """The labels of the first frame that lie on a part, see `judged`."""
    tracked = track(clip.frames, queries)
    kept = believed(clip.frames, *tracked, track)
    there = labelled(tracked, 0)
    pixels = tracked[0][[0, LABEL_SKIP]][:, there] * clip.frames.shape[1] - 0.5
    ends = true_ends(clip.parts, pixels[0])
    known = ~np.isnan(ends[:, 0])
    believable = (kept[0, there] & kept[LABEL_SKIP, there])[known]
    return judged((pixels[1] - pixels[0])[known], (ends - pixels[0])[known], believable)


def true_ends(parts: list[Part], points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    """Where points [px] of the first frame are in the last; NaN where they are on no part."""
    ends = np.full(points.shape, np.nan)
    for part in parts:
        outline = part.first.astype(np.float32)
        on_it = np.array(
            [cv2.pointPolygonTest(outline, (float(x), float(y)), False) > 0 for x, y in points],
            dtype=bool,
        )
        if on_it.any():
            going, _ = cv2.findHomography(part.first, part.last)
            ends[on_it] = cv2.perspectiveTransform(points[None, on_it].astype(float), going)[0]
    return ends
