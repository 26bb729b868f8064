"""What each split of the data set is made of."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from fpt_ros.simulation import metaworld_scenes, tabletop
from fpt_ros.simulation.picture import Picture

SPLITS = ["train", "val", "heldout_a", "heldout_b", "heldout_c", "heldout_d"]
"""In this order for ever: the position seeds the random generators.

train      Meta-World's training tasks and procedural scenes, half and half
val        the same with other seeds, for choosing thresholds
heldout_a  known objects in new tasks (their sister tasks are trained on)
heldout_b  Meta-World tasks with objects that are never trained on
heldout_c  procedural scenes with other seeds
heldout_d  a procedural scene type that is never trained on
"""

METAWORLD_SCENES = 0.36
"""Share of Meta-World's scenes in training; they give twice the pictures of a procedural one."""
FEW = 3
"""Pictures of one scene in all splits but training, so that a hundred show many scenes."""
KNOWN_OBJECTS = ["drawer-close-v3", "door-lock-v3", "window-open-v3"]
UNSEEN_OBJECTS = [
    "faucet-open-v3",
    "faucet-close-v3",
    "dial-turn-v3",
    "box-close-v3",
    "lever-pull-v3",
]


def training_tasks() -> list[str]:
    held_out = {*KNOWN_OBJECTS, *UNSEEN_OBJECTS}
    return [task for task in metaworld_scenes.all_tasks() if task not in held_out]


def tasks(split: str) -> list[str]:
    """The Meta-World tasks of a split; none for purely procedural splits."""
    if split in ("train", "val"):
        return training_tasks()
    return {"heldout_a": KNOWN_OBJECTS, "heldout_b": UNSEEN_OBJECTS}.get(split, [])


def scene_pictures(split: str, numbers: list[int], size: int) -> Iterator[Picture]:
    """The pictures of one scene of a split. `numbers` seed its random generator."""
    rng, meta = np.random.default_rng(numbers), {"seed": numbers}
    robot_tasks = tasks(split)
    if split in ("train", "val") and rng.random() > METAWORLD_SCENES:
        robot_tasks = []
    if robot_tasks:
        task = str(rng.choice(robot_tasks))
        pictures = metaworld_scenes.pictures(task, rng, size, meta)
    else:
        pictures = tabletop.pictures(rng, size, meta, unseen=split == "heldout_d")
    return pictures if split == "train" else islice(pictures, FEW)
