# SPDX-License-Identifier: Apache-2.0
"""How long a plan takes, what it asks, and what comes of it, on simulated scenes, in process.

    python benchmarks/planning.py --scenes 40
    git worktree add ../before REVISION && python benchmarks/planning.py --before ../before

Scenes are of training's kinds. With `--before` a second process plans with the library of another
checkout; the two take turns scene by scene, so that they share whatever else the machine does.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
IMAGE_SIDE = 320  # pixels
HEADER = (
    "| library | time, median [s] | candidates asked about | pairs of candidate and point "
    "| questions | reached its goal | and nothing else moved | mean error [% of the side] |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--split", choices=("train", "val"), default="train")
    parser.add_argument("--seed", type=int, default=0, help="other seeds are other scenes")
    parser.add_argument("--before", type=Path, help="another checkout of this repository")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.split, arguments.seed)
        return
    libraries = {"this": ROOT} | ({"before": arguments.before} if arguments.before else {})
    workers = {name: start(path, arguments) for name, path in libraries.items()}
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in libraries}
    for _ in range(arguments.scenes):
        for name, worker in workers.items():
            results[name].append(ask(worker))
    print("\n".join([HEADER, *(row(name, found) for name, found in results.items())]))
    if arguments.before:
        ratio = seconds(results["before"]) / seconds(results["this"])
        print(f"\nBefore, a plan took {ratio:.1f} times as long.")


def start(library: Path, arguments: argparse.Namespace) -> subprocess.Popen:
    """A process that plans with the library of a checkout."""
    command = [sys.executable, __file__, "--worker"]
    command += ["--split", arguments.split, "--seed", str(arguments.seed)]
    path = os.pathsep.join([str(library.resolve()), os.environ.get("PYTHONPATH", "")])
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, stdin=pipe, stdout=pipe, text=True, env=os.environ | {"PYTHONPATH": path}
    )


def ask(worker: subprocess.Popen) -> dict[str, Any]:
    """What the worker's next scene gave."""
    assert worker.stdin and worker.stdout
    print("next", file=worker.stdin, flush=True)
    line = worker.stdout.readline()
    if not line:
        sys.exit("a worker ended: its own error is above")
    return json.loads(line)


def work(split: str, seed: int) -> None:
    """Plan and push in one scene for each line that is read."""
    from fpt_ros.inference.predictor import Predictor
    from fpt_ros.simulation.push_tasks import tasks

    predictor = Predictor.from_checkpoint("embedded", device="cpu")
    predictor.warm_up()
    scenes = tasks(split, seed, IMAGE_SIDE)
    for _ in sys.stdin:
        print(json.dumps(trial(predictor, next(scenes))), flush=True)


def trial(predictor: Any, task: Any) -> dict[str, Any]:
    from fpt_ros.planning import plan_poke

    asked: list[tuple[int, int]] = []
    evaluate = functools.partial(predictor.evaluate, predictor.embed(task.world.image))

    def counted(candidates: Any, points: Any, *rest: Any, **options: Any) -> Any:
        asked.append((len(candidates), len(points)))
        return evaluate(candidates, points, *rest, **options)

    limits = (task.touchable, task.reach, task.tolerance, task.still)
    begin = time.perf_counter()
    [plan] = plan_poke(counted, [task.point], [task.goal], task.stay, *limits, plans=1)
    took = time.perf_counter() - begin
    outcome = task.world.push(plan.poke)
    [moved] = outcome.displacement(task.point[None])
    error = float(np.linalg.norm(moved - task.goal))
    others = [*np.linalg.norm(outcome.displacement(task.stay), axis=1)]
    others += [outcome.largest(group) for group in task.bystanders]
    stayed = bool(max(others) <= task.still)
    return {
        "seconds": took,
        "candidates": sum(count for count, _ in asked),
        "pairs": sum(itertools.starmap(lambda m, n: m * n, asked)),
        "questions": len(asked),
        "reached": error <= task.tolerance,
        "both": error <= task.tolerance and stayed,
        "error": 100 * error / task.world.size,
    }


def seconds(results: list[dict[str, Any]]) -> float:
    return statistics.median(result["seconds"] for result in results)


def row(name: str, results: list[dict[str, Any]]) -> str:
    def mean(key: str) -> float:
        return statistics.fmean(result[key] for result in results)

    return (
        f"| {name} | {seconds(results):.2f} | {mean('candidates'):.0f} | {mean('pairs'):.0f} "
        f"| {mean('questions'):.1f} | {100 * mean('reached'):.0f}% | {100 * mean('both'):.0f}% "
        f"| {mean('error'):.1f} |"
    )


if __name__ == "__main__":
    main()
