# SPDX-License-Identifier: Apache-2.0
"""What each split of the data set is made of."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.simulation import borrowed, metaworld_scenes, tabletop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fpt_ros.data.clips import Clip

SPLITS = [
    "train", "val", "heldout_a", "heldout_b", "heldout_c", "heldout_d", "heldout_e", "heldout_f"
]  # fmt: skip
"""In this order for ever: the position seeds the random generators.

train      Meta-World's training tasks and procedural scenes
val        the same with other seeds and without contraptions, for choosing thresholds
heldout_a  known objects in new tasks (their sister tasks are trained on)
heldout_b  Meta-World tasks with objects that are never trained on
heldout_c  procedural scenes with other seeds
heldout_d  a procedural scene type that is never trained on
heldout_e  training's kinds of scenes with other seeds, all from moving cameras
heldout_f  scenes that other people modelled: a kitchen, and a door

In train and val a quarter of the cameras move, in heldout_e all, in the others none.
"""

METAWORLD_SCENES = 0.3
"""Share of Meta-World's scenes in training; they give more clips than a procedural one."""
MOVING_CAMERAS = 0.25
CONTRAPTIONS = 0.35
"""Share of training's mechanisms that nobody designed; the other splits have none, so that they
stay what they were."""
FEW = 2
"""Clips of one scene in all splits but training, so that a hundred show many scenes."""
KNOWN_OBJECTS = ["drawer-close-v3", "door-lock-v3", "window-open-v3"]
UNSEEN_OBJECTS = [
    "faucet-open-v3",
    "faucet-close-v3",
    "dial-turn-v3",
    "box-close-v3",
    "lever-pull-v3",
]
MIXED = ("train", "val", "heldout_e")


def training_tasks() -> list[str]:
    held_out = {*KNOWN_OBJECTS, *UNSEEN_OBJECTS}
    return [task for task in metaworld_scenes.all_tasks() if task not in held_out]


def tasks(split: str) -> list[str]:
    """The Meta-World tasks of a split; none for purely procedural splits."""
    if split in MIXED:
        return training_tasks()
    return {"heldout_a": KNOWN_OBJECTS, "heldout_b": UNSEEN_OBJECTS}.get(split, [])


def moving_cameras(split: str) -> float:
    """The share of a split's clips whose camera moves."""
    return {"train": MOVING_CAMERAS, "val": MOVING_CAMERAS, "heldout_e": 1.0}.get(split, 0.0)


def scene_clips(split: str, numbers: list[int], size: int, frames: int) -> Iterator[Clip]:
    """The clips of one scene of a split. `numbers` seed its random generator."""
    rng, meta = np.random.default_rng(numbers), {"seed": numbers}
    robot_tasks, moves = tasks(split), moving_cameras(split)
    if split in MIXED and rng.random() > METAWORLD_SCENES:
        robot_tasks = []
    if split == "heldout_f":
        clips = borrowed.clips(rng, size, frames, meta)
    elif robot_tasks:
        task = str(rng.choice(robot_tasks))
        clips = metaworld_scenes.clips(task, rng, size, frames, moves, meta)
    else:
        clips = tabletop.clips(
            rng,
            size,
            frames,
            moves,
            meta,
            unseen=split == "heldout_d",
            contraptions=CONTRAPTIONS if split == "train" else 0.0,
        )
    return clips if split == "train" else islice(clips, FEW)
