# SPDX-License-Identifier: Apache-2.0
"""Drag-a-Move (Li et al., DragAPart, 2024): rendered furniture with exact motion of its parts.

The layout of the pre-rendered data: `CATEGORY/INSTANCE/SUBSET/` with `rgb/cCCC_tTTT.png` and, of
the same names, `segmentation/*.npz` (`instance_segmentation`, a part at each pixel), `npcs/*.npz`
(`npcs_map`, each pixel's place in its part), `metafile/*.json` (the camera, and the links that
move) and `bbox/*.pkl` (each link's part and pose). CCC is the camera, TTT the stage of the motion.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from fpt_ros.data.moments import Moment
from fpt_ros.eval.benchmarks.pickles import read_pickle
from fpt_ros.eval.cases import Case, Cases, make_case

POINTS = 2000
"""Pixels of a picture that become points, drawn by lot."""
EACH = 4
"""Pairs of stages of one subset, each from a camera drawn by lot."""


def read(path: Path, count: int, seed: int) -> Cases:
    """At most `count` cases, spread over the objects: a picture, and where its parts are in another
    stage.

    Raises:
        ValueError: no picture of this layout is there, or nothing moves.
    """
    subsets = sorted(rgb.parent for rgb in path.glob("*/*/*/rgb"))
    if not subsets:
        raise ValueError(f"{path}: no CATEGORY/INSTANCE/SUBSET/rgb there")
    chosen = np.linspace(0, len(subsets) - 1, min(len(subsets), -(-count // EACH)))
    cases: list[Case] = []
    for number in tqdm(chosen.round().astype(int), "reading", leave=False):
        cases += _subset_cases(subsets[number], np.random.default_rng([seed, number]))
    if not cases:
        raise ValueError(f"{path}: no part moves in any picture")
    return Cases(cases[:count])


def _subset_cases(root: Path, rng: np.random.Generator) -> list[Case]:
    cameras: dict[str, list[str]] = {}
    for picture in sorted((root / "rgb").glob("c*_t*.png")):
        camera, stage = picture.stem.split("_")
        cameras.setdefault(camera, []).append(stage)
    usable = [camera for camera, stages in cameras.items() if len(stages) > 1]
    found = []
    for camera in rng.choice(usable, EACH) if usable else []:
        start, end = rng.choice(cameras[camera], 2, replace=False)
        moment = _moment(root, f"{camera}_{start}", f"{camera}_{end}", rng)
        found.append(make_case(moment, 0, rng))
    return [case for case in found if case is not None]


def _moment(root: Path, start: str, end: str, rng: np.random.Generator) -> Moment:
    """The picture of one stage, and where its points go until another."""
    image = cv2.imread(str(root / "rgb" / f"{start}.png"), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"{root / 'rgb' / f'{start}.png'}: no picture that can be read")
    with np.load(root / "segmentation" / f"{start}.npz", allow_pickle=False) as content:
        parts = content["instance_segmentation"]
    flow, moving = _flow(root, start, end, parts)
    side = len(parts)
    rows, columns = np.divmod(rng.choice(parts.size, min(POINTS, parts.size), False), side)
    points = ((np.stack([columns, rows], -1) + 0.5) / side).astype(np.float32)
    flows = (flow[rows, columns] / side).astype(np.float32)[None]
    bodies = np.where(moving, parts + 1, 0)[rows, columns].astype(np.int32)
    inside = np.ones((1, len(points)), bool)
    key = "/".join((*root.parts[-3:], start))
    return Moment(key, image[..., ::-1].copy(), points, flows, inside, np.array([True]), bodies)


def _flow(root: Path, start: str, end: str, parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The way of each pixel, pixels [h, w, 2], and whether it is on a part that may move [h, w]."""
    meta = json.loads((root / "metafile" / f"{start}.json").read_text())
    camera = json.loads((root / "metafile" / f"{end}.json").read_text())
    poses = read_pickle(root / "bbox" / f"{end}.pkl")["bbox_pose_dict"]
    with np.load(root / "npcs" / f"{start}.npz", allow_pickle=False) as content:
        places = content["npcs_map"]
    flow, moving = np.zeros((*parts.shape, 2)), np.zeros(parts.shape, bool)
    links = [link for name, of in meta.items() if name.endswith("moving_links") for link in of]
    for link in links:
        part = poses[link]["instance_id"]
        rows, columns = np.nonzero((parts == part) & (part >= 0))
        pixels = _project(places[rows, columns], poses[link]["pose_RTS_param"], camera)
        flow[rows, columns] = pixels - np.stack([columns, rows], -1)
        moving[rows, columns] = True
    return flow, moving


def _project(places: np.ndarray, pose: dict[str, Any], camera: dict[str, Any]) -> np.ndarray:
    """Pixels of places [n, 3] in a part, given its pose in the world and the camera."""
    world = places @ np.linalg.inv(np.transpose(pose["R"])) * pose["scaler"] + pose["T"]
    rotation = np.reshape(camera["world2camera_rotation"], (3, 3))
    seen = (world - np.reshape(camera["camera2world_translation"], (1, 3))) @ rotation
    focal = np.reshape(camera["camera_intrinsic"], (3, 3))
    return (seen[:, :2] / seen[:, 2:]) * [focal[0, 0], focal[1, 1]] + focal[:2, 2]
