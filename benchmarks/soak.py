# SPDX-License-Identifier: Apache-2.0
"""The node under faults, again and again, while a planner that behaves asks it at a fixed rate.

    python benchmarks/soak.py [--minutes 30] [--only WORD ...] [--seed 0] [--log node.log]

Real processes over DDS: the node with a copy of the embedded weights, a camera, the planner, whose
every answer is compared with a Predictor's numbers, and clients that are killed. All faults of
`soak_faults.py` are injected in turn, in an order drawn anew each round, for one round at least.
Prints a table. Ends with status 1 if an answer was lost or wrong, if the node died, could not
be brought back or failed at something, or if memory or log grew beyond the bounds below.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import rclpy
from ament_index_python.packages import get_package_prefix, get_package_share_directory
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from soak_faults import Faults
from soak_images import write_pictures
from soak_node import Failure, Target
from soak_roles import NAMESPACE, PATIENCE, SIZE, TIMEOUT
from soak_watch import Watch, failures_logged
from tqdm import tqdm

from fpt_ros.apps.scenes import recorded_scene
from fpt_ros.engine.errors import ErrorCode
from fpt_ros.images import compressed_to_rgb

MAX_GROWTH = 100  # MB of the node's memory, from the end of the first round
MAX_FAILURES_LOGGED = 240  # lines a minute, warnings and above


def main() -> None:
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no process is left
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        problems = soak(arguments, folder)
    for problem in problems:
        print(f"FAILED: {problem}")
    sys.exit(1 if problems else 0)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="0: one round (30)")
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="WORD", help="faults whose names have one"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the faults' order and values (0)")
    parser.add_argument("--log", type=Path, help="keep the node's log in this file")
    return parser.parse_args()


def soak(arguments: argparse.Namespace, folder: Path) -> list[str]:
    """Inject faults for so long, print the table; what was wrong."""
    prepare(folder)
    rclpy.init()
    node = rclpy.create_node("soak", namespace=NAMESPACE)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    threading.Thread(target=spin, args=(executor,), daemon=True).start()
    process = start_node(folder)
    target = Target(node, process)
    faults = Faults(node, target, folder, arguments.seed)
    planner = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("soak_roles.py")), "planner", str(folder)]
    )
    watch, problems = Watch(node, process.pid), []
    try:
        target.meet()
        target.activate()
        wait_for(folder / "planner.ready", planner, process)
        watch.start()
        inject_all(faults, watch, arguments)
    except Failure as failure:
        problems.append(f"{watch.fault or 'before any fault'}: {failure}")
    finally:
        watch.end()
        end(planner, signal.SIGTERM)
        status = end(process, signal.SIGINT)
        faults.close()
        executor.shutdown()
        rclpy.try_shutdown()
        if arguments.log:
            shutil.copy(folder / "node.log", arguments.log)
    if status:
        problems.append(f"the node ended with status {status}")
    if not faults.injected:
        return problems
    found = json.loads((folder / "planner.json").read_text())
    log = (folder / "node.log").read_text()
    print_table(faults.injected, target.answers, found, watch, log)
    return problems + judge(found, watch, log)


def end(process: subprocess.Popen, how: signal.Signals) -> int:
    """End a process in order, or by force after some patience; its exit status."""
    process.send_signal(how)
    try:
        return process.wait(PATIENCE + TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def prepare(folder: Path) -> None:
    """A copy of the weights, which the node will read, and the camera's pictures."""
    weights = resources.files("fpt_ros") / "weights" / "embedded.safetensors"
    (folder / "model.safetensors").write_bytes(weights.read_bytes())
    recording = Path(get_package_share_directory("fpt_ros"), "recordings", "drawer")
    picture = compressed_to_rgb(recorded_scene(recording).frames[0])
    write_pictures(folder, cv2.resize(picture, SIZE))


def start_node(folder: Path) -> subprocess.Popen:
    executable = Path(get_package_prefix("fpt_ros"), "lib", "fpt_ros", "fpt_node")
    command = [
        sys.executable, str(executable), "--ros-args", "-r", f"__ns:={NAMESPACE}",
        "-p", f"checkpoint:={folder / 'model.safetensors'}", "-p", "device:=cpu",
        "-p", "autostart:=true",
    ]  # fmt: skip
    with (folder / "node.log").open("w") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)


def spin(executor: SingleThreadedExecutor) -> None:
    with contextlib.suppress(ExternalShutdownException):
        executor.spin()


def wait_for(file: Path, planner: subprocess.Popen, node: subprocess.Popen) -> None:
    """Until the planner has written this file."""
    while not file.exists():
        for name, process in (("planner", planner), ("node", node)):
            if process.poll() is not None:
                raise Failure(f"the {name} ended with status {process.returncode}")
        time.sleep(0.1)


def inject_all(faults: Faults, watch: Watch, arguments: argparse.Namespace) -> None:
    """Rounds of all faults that are wanted until the time is over."""
    order, seconds = random.Random(arguments.seed), 60 * arguments.minutes
    kinds = [kind for kind in faults.kinds if any(word in kind for word in arguments.only)]
    start = time.monotonic()
    with tqdm(total=round(seconds), unit="s", leave=False) as bar:
        while not faults.injected or time.monotonic() - start < seconds:
            order.shuffle(kinds)
            for kind in kinds:
                bar.set_description(kind)
                watch.fault = kind
                faults.inject(kind)
                bar.update(round(time.monotonic() - start) - bar.n)
            watch.round_ended()


def judge(found: dict[str, Any], watch: Watch, log: str) -> list[str]:
    """What was wrong, beside what ended the soak."""
    counts = found["counts"]
    problems = [f"planner: {wrong}" for wrong in found["wrong"][:5] + found["lost"][:5]]
    if counts.get("answered", 0) + refused(counts) != counts["asked"]:
        problems.append(f"planner: {counts}: asked is not answered and refused")
    failed = int(ErrorCode.PREDICTION_FAILED)
    if counts.get(f"refused {failed}"):
        problems.append("planner: a prediction failed")
    if watch.unanswered:
        problems.append(f"get_parameters: {watch.unanswered} not answered")
    if watch.growth > MAX_GROWTH:
        problems.append(f"memory grew by {watch.growth:.0f} MB, at most {MAX_GROWTH} are allowed")
    if failures_logged(log) > MAX_FAILURES_LOGGED:
        problems.append(f"the log floods: {failures_logged(log)} lines in a minute")
    if "Traceback" in log:
        problems.append("the log has a traceback: " + log.split("Traceback")[1].split("\n[")[0])
    return problems


def refused(counts: dict[str, int]) -> int:
    return sum(number for key, number in counts.items() if key.startswith("refused"))


def print_table(
    injected: Counter[str], answers: Counter[str], found: dict[str, Any], watch: Watch, log: str
) -> None:
    print("| fault | injected | longest get_parameters [ms] | most memory [MB] |")
    print("| --- " * 4 + "|")
    for kind, times in injected.items():
        slow, most = 1000 * watch.longest[kind], watch.most[kind]
        print(f"| {kind} | {times} | {slow:.0f} | {most:.0f} |")
    print("\n| requests | asked | answered | refused | lost |\n| --- | --- | --- | --- | --- |")
    for name, counts in (
        ("of the planner", found["counts"]),
        ("that belong to faults", answers),
    ):
        codes = ", ".join(
            f"{number} {ErrorCode(int(key.split()[1])).name}"
            for key, number in sorted(counts.items())
            if key.startswith("refused")
        )
        answered, lost = counts.get("answered", 0), counts.get("lost", 0)
        print(f"| {name} | {counts['asked']} | {answered} | {codes} | {lost} |")
    print(f"\nAnswers to the planner that differ from a Predictor's: {len(found['wrong'])}.")
    print(f"Its longest wait: {found['longest']:.1f} s.")
    print(watch.report())
    lines = failures_logged(log)
    print(f"Warnings and errors in the log: at most {lines} lines a minute.")


if __name__ == "__main__":
    main()
