# SPDX-License-Identifier: Apache-2.0
"""Shows the planner at work, closed loop, on a simulated robot: `make planner-demo`.

In scenes that no network of ours was trained on, one point is to be moved, but neither it nor
what surrounds it may be touched, and its neighbours must stay. The simulated camera publishes its
pictures over ROS, the node runs as a process of its own, the planner asks it through MotionClient,
and a simulated fingertip carries out the poke that was chosen. Where the goal is not reached, the
planner looks and plans again. Results, pictures and a film of good and bad runs are left in a
folder.

With `--task open` drawers and doors are opened instead, by what is seen of them (`opening`).
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import rclpy
from tqdm import tqdm

from fpt_ros.apps.demo import NAMESPACE, fresh_folder, node_process
from fpt_ros.apps.planner_demo import opening, opening_table
from fpt_ros.apps.planner_demo.camera import Camera
from fpt_ros.apps.planner_demo.film import Canvas, film, in_short, write_film
from fpt_ros.apps.planner_demo.table import summary, table
from fpt_ros.apps.planner_demo.trials import AGAIN, Trial, attempt
from fpt_ros.client import MotionClient
from fpt_ros.command_line import CommandParser
from fpt_ros.simulation.opening_tasks import opening_tasks
from fpt_ros.simulation.push_tasks import PROCEDURAL, PushTask, tasks

if TYPE_CHECKING:
    from jaxtyping import UInt8

    from fpt_ros.planning import Evaluate

SPLITS = ("heldout_c", "heldout_d")
IMAGE_SIDE, OPENING_SIDE = 320, 480  # pixels


def main() -> None:
    arguments = parse_arguments()
    try:
        out = fresh_folder(arguments.out)
        if arguments.task == "open":
            open_parts(arguments.scenes, arguments.seed, out)
            return
        trials = run(arguments, out)
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"planner-demo: {error}")
    results = [trial.as_json() for trial in trials]
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    print("\n" + table(trials) + "\n\n" + summary(trials) + "\n")
    shown = chosen(trials, arguments.films)
    if shown:
        write_film(out / "runs.webm", shots(out, shown))
    print(f"\nFilm, pictures, results and the node's log are in {out.resolve()}.")


def parse_arguments() -> argparse.Namespace:
    parser = CommandParser("planner-demo", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--task",
        choices=("push", "open"),
        default="push",
        help="push a point to its goal, or open drawers and doors, for which --splits, --films and"
        " --checkpoint do not count",
    )
    parser.add_argument("--scenes", type=int, default=60, help="as many of each split")
    parser.add_argument("--seed", type=int, default=0, help="other seeds are other scenes")
    parser.add_argument("--splits", nargs="+", choices=PROCEDURAL, default=SPLITS)
    parser.add_argument("--films", type=int, default=8, help="runs in the film, half of them good")
    parser.add_argument("--out", type=Path, default=Path("planner-demo"), help="replaced")
    parser.add_argument("--checkpoint", default="embedded", help="the node's parameter")
    arguments = parser.parse_args()
    if arguments.scenes < 1 or arguments.films < 0:
        parser.error("--scenes must be at least 1, --films at least 0")
    return arguments


def open_parts(count: int, seed: int, out: Path) -> None:
    """Open as many drawers and doors, and say how; without the node."""
    some = islice(opening_tasks(seed, OPENING_SIDE), count)
    trials = [opening.attempt(task, seed) for task in tqdm(some, "opening", count, unit="scene")]
    results = [trial.as_json() for trial in trials]
    (out / "opening.json").write_text(json.dumps(results, indent=1) + "\n")
    picture = opening_table.sheet(trials)[..., ::-1]
    cv2.imwrite(str(out / "opening.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 80])
    print("\n" + opening_table.table(trials) + "\n\n" + opening_table.summary(trials))
    print(f"\nPictures and results are in {out.resolve()}.")


def run(arguments: argparse.Namespace, out: Path) -> list[Trial]:
    """One trial in every scene, against a node of its own.

    Raises:
        RuntimeError: the node ended, or does not take pictures.
    """
    rclpy.init()
    try:
        log = out / "node.log"
        with (
            node_process(log, arguments.checkpoint) as process,
            MotionClient(name=f"{NAMESPACE}/fpt") as client,
        ):
            camera = Camera(NAMESPACE)

            def look(image: UInt8[np.ndarray, "h w 3"]) -> Evaluate:
                stamp = camera.show_until_kept(image, client, process, log)
                return functools.partial(client.evaluate, stamp=stamp)

            trials = []
            for split, task in tqdm(scenes(arguments), "pushing", arguments.scenes, unit="scene"):
                trials.append(attempt(split, task, look, arguments.seed))
            return trials
    finally:
        rclpy.try_shutdown()


def scenes(arguments: argparse.Namespace) -> Iterator[tuple[str, PushTask]]:
    """Tasks, as many of each kind as of the others."""
    kinds = arguments.splits
    counts = [len(range(i, arguments.scenes, len(kinds))) for i in range(len(kinds))]
    return chain.from_iterable(
        ((split, task) for task in islice(tasks(split, arguments.seed, IMAGE_SIDE), count))
        for split, count in zip(kinds, counts, strict=True)
    )


def chosen(trials: list[Trial], count: int) -> list[Trial]:
    """Half good runs, then bad ones, as far as there are; each spread evenly over all scenes."""
    verdicts = [trial.verdicts[AGAIN] for trial in trials]
    success = [verdict.reached and verdict.stayed for verdict in verdicts]
    good = [trial for trial, well in zip(trials, success, strict=True) if well]
    bad = [trial for trial, well in zip(trials, success, strict=True) if not well]
    good_ones = min(len(good), max(count - count // 2, count - len(bad)))
    return spread(good, good_ones) + spread(bad, count - good_ones)


def spread(trials: list[Trial], count: int) -> list[Trial]:
    """At most `count` of them, evenly."""
    step = max(len(trials) / max(count, 1), 1)
    return [trials[int(i * step)] for i in range(min(count, len(trials)))]


def shots(out: Path, trials: list[Trial]) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """The films of these trials one after another; of each its plans and verdicts are saved, too,
    the tries side by side."""
    for i, trial in enumerate(tqdm(trials, "filming", unit="run")):
        tries = []
        for one in trial.tries:
            pictures = list(film(Canvas(trial, one)))
            tries.append(in_short(pictures))
            yield from pictures
        cv2.imwrite(str(out / f"{i + 1}_{trial.split}.png"), np.hstack(tries)[..., ::-1])


if __name__ == "__main__":
    main()
