# SPDX-License-Identifier: Apache-2.0
"""The moving part on real photographs, beside hand-drawn ones: `fpt-eval --photographs`.

The pictures and what was drawn lie in `fpt_ros/eval/photos/`, with each picture's source and
licence. Nothing is chosen on them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from tqdm import tqdm

from fpt_ros.eval.segmenters import SIDE, Felzenszwalb, GrabCut
from fpt_ros.eval.tables import markdown, number
from fpt_ros.inference.predictor import Predictor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

    from fpt_ros.eval.segmenters import Segmenter
    from fpt_ros.model import FlowPokeTransformer

FOLDER = Path(__file__).parent / "photos"
SEGMENTERS: tuple[Segmenter, ...] = (GrabCut(0.15, True), Felzenszwalb(800))
"""As `fpt-eval` chose them by overlap on 150 cases of `fpt-sim --split val`."""
DISC = 0.23
"""Radius of the disc round the poke, of the longer side; chosen likewise."""


@dataclass(frozen=True)
class Part:
    """Something that would move as one, poked."""

    picture: str
    name: str
    image: UInt8[np.ndarray, "h w 3"]
    poke: Float[np.ndarray, "4"]
    """x, y, dx, dy in pixels."""
    mask: Bool[np.ndarray, "h w"]


def read_parts(folder: Path = FOLDER) -> list[Part]:
    """All drawn parts, each with its photograph.

    Raises:
        ValueError: a photograph cannot be read.
    """
    parts = []
    for entry in json.loads((folder / "parts.json").read_text()):
        bgr = cv2.imread(str(folder / entry["picture"]), cv2.IMREAD_COLOR)
        if bgr is None:
            raise ValueError(f"{folder / entry['picture']}: no picture that can be read")
        image = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        for drawn in entry["parts"]:
            mask = draw(drawn["polygons"], *image.shape[:2])
            poke = np.array(drawn["poke"], float)
            parts.append(Part(entry["picture"], drawn["part"], image, poke, mask))
    return parts


def draw(polygons: list[list[list[float]]], height: int, width: int) -> Bool[np.ndarray, "h w"]:
    """The union of some polygons of corners x, y in pixels."""
    mask = np.zeros((height, width), np.uint8)
    for corners in polygons:
        eighths = np.round(np.array(corners) * 8).astype(np.int32)
        cv2.fillPoly(mask, [eighths], 1, shift=3)  # one by one: together, overlaps would be holes
    return mask > 0


def segmented(part: Part, segmenter: Segmenter) -> Bool[np.ndarray, "h w"]:
    """What a segmenter cuts out of the photograph, squeezed into a small square, at the poke."""
    height, width = part.mask.shape
    small = cv2.resize(part.image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    found = segmenter.part(small, (part.poke[:2] + 0.5) / [width, height]).astype(np.uint8)
    return cv2.resize(found, (width, height), interpolation=cv2.INTER_NEAREST) > 0


def disc(part: Part) -> Bool[np.ndarray, "h w"]:
    height, width = part.mask.shape
    y, x = np.mgrid[:height, :width]
    return np.hypot(x - part.poke[0], y - part.poke[1]) < DISC * max(height, width)


def overlaps(model: FlowPokeTransformer, parts: list[Part]) -> dict[str, list[float]]:
    """Intersection over union with each part, of ours, of the segmenters and of a disc."""
    predictor = Predictor(model)
    found: dict[str, list[float]] = {}
    for part in tqdm(parts, "poking", unit=" parts", leave=False):
        context = predictor.embed(part.image)
        answers = {
            "ours": predictor.segment(context, part.poke[None]).moves,
            **{segmenter.name: segmented(part, segmenter) for segmenter in SEGMENTERS},
            "disc round the poke": disc(part),
        }
        for name, answer in answers.items():
            both, either = (answer & part.mask).sum(), (answer | part.mask).sum()
            found.setdefault(name, []).append(float(both / either))
    return found


def run_photographs(model: FlowPokeTransformer, out: Path) -> str:
    """Write `photographs.json` and `photographs.md` to `out`; return the table."""
    parts = read_parts()
    found = overlaps(model, parts)
    rows = [
        [name, f"{number(float(np.mean(v)), 3)} ± {number(_standard_error(v), 3)}",
         number(float(np.median(v)), 3), f"{np.mean(np.array(v) > 0.5):.0%}"]
        for name, v in found.items()
    ]  # fmt: skip
    pictures = len({part.picture for part in parts})
    table = f"{len(parts)} hand-drawn parts on {pictures} photographs\n\n" + markdown(
        ["moving part", "mean IoU", "median", "above 0.5"], rows
    )
    out.mkdir(parents=True, exist_ok=True)
    of_parts = [
        {"picture": part.picture, "part": part.name, **{name: v[i] for name, v in found.items()}}
        for i, part in enumerate(parts)
    ]
    (out / "photographs.json").write_text(json.dumps(of_parts, indent=1) + "\n")
    (out / "photographs.md").write_text(table + "\n")
    return table


def _standard_error(values: list[float]) -> float:
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))
