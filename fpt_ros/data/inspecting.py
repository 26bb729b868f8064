# SPDX-License-Identifier: Apache-2.0
"""`fpt-data inspect`: what is in shards, for human eyes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from tqdm import tqdm

from fpt_ros.data.clips import SampleError, parse_clip
from fpt_ros.data.drawing import contact_sheet, write_video
from fpt_ros.data.shards import find_shards, whole_samples
from fpt_ros.data.statistics import ClipStatistics, clip_statistics, summary

if TYPE_CHECKING:
    from fpt_ros.data.clips import Clip


def inspect_shards(inputs: list[Path], out: Path, skip: int, shown: int) -> dict:
    """Write `statistics.json`, and of some clips `tracks.mp4` and `sheet.png`, to `out`.

    Args:
        skip: frames from a picture to its target in training.
        shown: how many clips to draw; they are drawn by lot, always the same.

    Returns:
        The statistics, see `statistics.summary`.

    Raises:
        FileNotFoundError: an input is not there.
    """
    shards = find_shards(inputs)
    statistics: list[ClipStatistics] = []
    bad: list[str] = []
    foreign: list[str] = []
    drawn: list[Clip] = []
    lot = np.random.default_rng(0)
    for shard in tqdm(shards, "reading", unit="shard"):
        for sample in whole_samples(shard, bad, foreign):
            try:
                clip = parse_clip(sample)
            except SampleError as error:
                bad.append(f"{shard.name}: {error}")
                continue
            statistics.append(clip_statistics(clip, skip))
            place = int(lot.integers(len(statistics)))  # keeps every clip equally likely
            if len(drawn) < shown:
                drawn.append(clip)
            elif place < shown:
                drawn[place] = clip
    out.mkdir(parents=True, exist_ok=True)
    found = summary(statistics, skip, bad) | {"foreign": foreign}
    (out / "statistics.json").write_text(json.dumps(found, indent=1) + "\n")
    if drawn:
        drawn.sort(key=lambda clip: clip.key)
        cv2.imwrite(str(out / "sheet.png"), contact_sheet(drawn)[..., ::-1])
        write_video(out / "tracks.mp4", drawn)
    return found
