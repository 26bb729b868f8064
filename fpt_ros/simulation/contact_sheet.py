# SPDX-License-Identifier: Apache-2.0
"""Contact sheets of simulated clips: a row a clip, arrows from each frame to the next.

`python -m fpt_ros.simulation.contact_sheet sheet.png data/sim/train data/sim/heldout_e`
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fpt_ros.data.clips import parse_clip
from fpt_ros.data.shards import find_shards, whole_samples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import UInt8

    from fpt_ros.data.clips import Clip

ARROWS = 90
"""Tracks drawn in a frame."""
STILL = 0.003
"""Flow below this, in image sides, is drawn as a dot."""


def with_arrows(clip: Clip, time: int, side: int) -> UInt8[np.ndarray, "s s 3"]:
    """A frame with the way of some visible tracks to the next; each body has its own colour."""
    assert clip.tracks is not None and clip.visibility is not None and clip.bodies is not None
    canvas = cv2.resize(clip.frames[time], (side, side), interpolation=cv2.INTER_AREA)
    rng = np.random.default_rng(0)
    colours = rng.integers(96, 256, (1024, 3))
    seen = np.flatnonzero(clip.visibility[time])
    for track in rng.permutation(seen)[: ARROWS if time + 1 < len(clip.frames) else 0]:
        start, end = np.clip(clip.tracks[time : time + 2, track], -8, 8) * side * 16
        colour = tuple(map(int, colours[clip.bodies[track]])) if clip.bodies[track] else (160,) * 3
        a, b = np.round(start).astype(int).tolist(), np.round(end).astype(int).tolist()
        if np.hypot(*(end - start)) > STILL * side * 16:
            cv2.line(canvas, a, b, colour, 1, cv2.LINE_AA, 4)
        cv2.circle(canvas, a, 20, colour, -1, cv2.LINE_AA, 4)
    return np.asarray(canvas, np.uint8)


def row(clip: Clip, side: int) -> UInt8[np.ndarray, "s w 3"]:
    frames = np.hstack([with_arrows(clip, time, side) for time in range(len(clip.frames))])
    label = f"{clip.meta['scene']}, {clip.meta['camera']} camera: {', '.join(clip.meta['events'])}"
    cv2.rectangle(frames, (0, 0), (frames.shape[1], 14), (0, 0, 0), -1)
    cv2.putText(frames, label, (4, 11), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (255, 255, 255), 1)
    return frames


def some_clips(inputs: list[Path], each: int) -> Iterator[Clip]:
    """The first clips of each input, one of a scene."""
    for path in inputs:
        scenes: dict[str, Clip] = {}
        problems: list[str] = []
        for sample in (s for shard in find_shards([path]) for s in whole_samples(shard, problems)):
            clip = parse_clip(sample)
            scenes.setdefault(clip.meta["scene"], clip)
            if len(scenes) == each:
                break
        for text in problems:
            print(text, file=sys.stderr)
        yield from scenes.values()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sheet", type=Path, help="the picture to write")
    parser.add_argument("inputs", type=Path, nargs="+", help="shards, folders of them")
    parser.add_argument("--each", type=int, default=8, help="clips of each input")
    parser.add_argument("--side", type=int, default=160, help="of a frame [px]")
    args = parser.parse_args()
    rows = [row(clip, args.side) for clip in some_clips(args.inputs, args.each)]
    cv2.imwrite(str(args.sheet), np.vstack(rows)[..., ::-1])


if __name__ == "__main__":
    main()
