"""Contact sheets of the data set for human eyes: every picture's futures as flow arrows.

`python -m fpt_ros.simulation.contact_sheet data/sim/train/shard-000000.tar sheet.png`
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from fpt_ros.simulation.picture import Picture
from fpt_ros.simulation.shards import read_shard


def with_arrows(picture: Picture, future: int, scale: int = 2) -> np.ndarray:
    """The picture enlarged, with one future's flow; each rigid group has its own colour."""
    side = picture.image.shape[0] * scale
    canvas = cv2.resize(picture.image, (side, side), interpolation=cv2.INTER_CUBIC)
    colours = np.random.default_rng(1).integers(64, 256, (1024, 3))
    starts, ends = picture.points * side, (picture.points + picture.flows[future]) * side
    for start, end, body in zip(starts, ends, picture.bodies, strict=True):
        a, b = (tuple(map(int, np.clip(p, -4000, 4000))) for p in (start, end))
        colour = tuple(map(int, colours[body])) if body else (128, 128, 128)
        cv2.circle(canvas, a, 1, colour, -1)
        if np.hypot(*(end - start)) > 0.003 * side:
            cv2.arrowedLine(canvas, a, b, colour, 1, cv2.LINE_AA, tipLength=0.2)
    label = f"{picture.meta['scene']} {picture.meta['kinds'][future]}"
    cv2.putText(canvas, label, (3, 10), cv2.FONT_HERSHEY_SIMPLEX, 0.33, (255, 255, 255), 1)
    return canvas


def contact_sheet(pictures: Sequence[Picture], futures: int = 3) -> np.ndarray:
    """One row a picture: the picture itself, then its first futures. Two pictures side by side."""
    rows = []
    for picture in pictures:
        plain = cv2.resize(picture.image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        rows.append(np.hstack([plain, *(with_arrows(picture, f) for f in range(futures))]))
    pairs = [np.hstack(rows[at : at + 2]) for at in range(0, len(rows) - 1, 2)]
    return np.vstack(pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shard", type=Path)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--skip", type=int, default=0)
    args = parser.parse_args()
    pictures = list(islice(read_shard(args.shard), args.skip, args.skip + args.pictures))
    cv2.imwrite(str(args.sheet), contact_sheet(pictures)[..., ::-1])


if __name__ == "__main__":
    main()
