# SPDX-License-Identifier: Apache-2.0
"""The node under load: a camera, pokes, and planners that ask without pause, for minutes.

    python benchmarks/load.py [--minutes 10] [--planners 4] [--size 1280x720] [--plot load.png]

Real processes over DDS: the node, a camera (raw images at 30 Hz), and planners that call
`~/evaluate_pokes` on the newest image, each one's next request following its last answer. This
program pokes at 5 Hz, reads the node's memory, and takes the time of parameter and lifecycle calls.
"""

from __future__ import annotations

import argparse
import array
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import rclpy
from ament_index_python.packages import get_package_prefix, get_package_share_directory
from fpt_ros.msg import MotionDistributions, Poke, PokeArray
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import GetParameters
from rclpy.client import Client
from rclpy.clock import Clock
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.time import Time
from sensor_msgs.msg import Image
from tqdm import tqdm

from fpt_ros.client import MotionClient, MotionError

NAMESPACE = "/fpt_load"
IMAGE_RATE, POKE_RATE, CALL_RATE = 30.0, 5.0, 2.0  # Hz
CANDIDATES, POINTS = 64, 16
TIMEOUT = 30.0  # seconds, after which a request counts as not answered
TICK = 0.1  # seconds


def main() -> None:
    arguments = parse_arguments()
    rclpy.init()
    if arguments.role:
        {"camera": run_camera, "planner": run_planner}[arguments.role](arguments)
        return
    node = start_node()
    own = [sys.executable, __file__, "--minutes", str(arguments.minutes), "--size", arguments.size]
    roles = ["camera"] + ["planner"] * arguments.planners
    others = [
        subprocess.Popen(
            [*own, "--role", role, "--seed", str(seed)], stdout=subprocess.PIPE, text=True
        )
        for seed, role in enumerate(roles)
    ]
    try:
        monitor = Monitor(node.pid, *size_of(arguments))
        monitor.run(60 * arguments.minutes)
        found = [json.loads(process.communicate(timeout=2 * TIMEOUT)[0]) for process in others]
    finally:
        for process in (node, *others):
            process.terminate()
        for process in (node, *others):
            process.wait(15)
    print_report(arguments, monitor, found[0], found[1:])
    if arguments.plot:
        plot(arguments.plot, monitor, found[1:])


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--planners", type=int, default=4)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--plot", type=Path, help="draw ages and memory over time (matplotlib)")
    parser.add_argument("--role", choices=["camera", "planner"], help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def size_of(arguments: argparse.Namespace) -> tuple[int, int]:
    width, height = (int(part) for part in arguments.size.split("x"))
    return width, height


def start_node() -> subprocess.Popen:
    executable = Path(get_package_prefix("fpt_ros"), "lib", "fpt_ros", "fpt_node")
    command = [
        sys.executable, str(executable), "--ros-args", "-r", f"__ns:={NAMESPACE}",
        "-p", "autostart:=true", "--log-level", "warn",
    ]  # fmt: skip
    return subprocess.Popen(command)


def run_camera(arguments: argparse.Namespace) -> None:
    """Publish a recorded picture that drifts to the side, then tell how many times."""
    import cv2

    from fpt_ros.apps.scenes import recorded_scene  # only this process decodes pictures
    from fpt_ros.images import compressed_to_rgb

    width, height = size_of(arguments)
    recording = Path(get_package_share_directory("fpt_ros"), "recordings", "drawer")
    picture = cv2.resize(compressed_to_rgb(recorded_scene(recording).frames[0]), (width, height))
    frames = [
        array.array("B", np.roll(picture, 4 * shift, axis=1).tobytes()) for shift in range(12)
    ]
    node = Node("camera", namespace=NAMESPACE)
    publisher = node.create_publisher(Image, "image", qos_profile_sensor_data)
    count = 0

    def publish() -> None:
        nonlocal count
        image = Image(height=height, width=width, encoding="rgb8", step=3 * width)
        image.data = frames[count % len(frames)]
        image.header.frame_id = "camera_optical_frame"
        image.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(image)
        count += 1

    node.create_timer(1 / IMAGE_RATE, publish)
    start = time.monotonic()
    # Until the last planner has its last answer, they need images.
    while time.monotonic() < start + 60 * arguments.minutes + 5.0:
        rclpy.spin_once(node, timeout_sec=0.1)
    print(json.dumps({"images": count, "seconds": time.monotonic() - start}))


def run_planner(arguments: argparse.Namespace) -> None:
    """Ask until the time is over; tell of each answer when it came, how long it took, its age."""
    rng, (width, height) = np.random.default_rng(arguments.seed), size_of(arguments)
    start, answers, errors = time.monotonic(), [], []
    with MotionClient(name=f"{NAMESPACE}/fpt", timeout=TIMEOUT) as client:
        client.wait_until_ready()
        while time.monotonic() < start + 60 * arguments.minutes:
            places = rng.uniform((0, 0), (width - 1, height - 1), (CANDIDATES + POINTS, 2))
            pushes = rng.normal(0, 40, (CANDIDATES, 2))
            goals = rng.normal(0, 40, (POINTS, 2))
            candidates = np.hstack([places[:CANDIDATES], pushes])
            asked = time.monotonic()
            try:
                answer = client.evaluate(
                    candidates, places[CANDIDATES:], goals, 10.0, return_motions=True
                )
            except (MotionError, TimeoutError) as error:
                errors.append(str(error))
                continue
            now = time.monotonic()
            answers.append((now - start, now - asked, age(answer.motions[0].header.stamp)))
    print(json.dumps({"answers": answers, "errors": errors}))


def age(stamp: object) -> float:
    """Seconds since an image was taken."""
    return (Clock().now() - Time.from_msg(stamp, Clock().clock_type)).nanoseconds / 1e9


class Monitor(Node):
    """Pokes, and watches the node."""

    def __init__(self, pid: int, width: int, height: int) -> None:
        super().__init__("monitor", namespace=NAMESPACE)
        self._pid, self._size = pid, (width, height)
        self.start = time.monotonic()
        self.memory: list[tuple[float, float]] = []
        self.motions: list[tuple[float, float]] = []
        self.pokes = 0
        self.calls: dict[str, list[float]] = {"get_parameters": [], "get_state": []}
        self.unanswered = 0
        self._publisher = self.create_publisher(PokeArray, "pokes", 1)
        self.create_subscription(MotionDistributions, "motion", self._on_motion, 5)
        parameters: Client = self.create_client(GetParameters, "fpt/get_parameters")
        state: Client = self.create_client(GetState, "fpt/get_state")
        self._watched = {
            "get_parameters": (parameters, GetParameters.Request(names=["grid"])),
            "get_state": (state, GetState.Request()),
        }

    def run(self, seconds: float) -> None:
        """Watch for so long."""
        with MotionClient(self, timeout=60.0) as client:
            client.wait_until_ready()
        self.start = time.monotonic()
        self.create_timer(1 / POKE_RATE, self._poke)
        self.create_timer(1 / CALL_RATE, self._call)
        self.create_timer(1.0, self._read_memory)
        with tqdm(total=round(seconds), unit="s", leave=False) as bar:
            while (now := time.monotonic() - self.start) < seconds:
                rclpy.spin_once(self, timeout_sec=TICK)
                bar.update(round(now) - bar.n)

    def _poke(self) -> None:
        width, height = self._size
        self._publisher.publish(PokeArray(pokes=[Poke(x=width / 2, y=height / 2, dx=40.0)]))
        self.pokes += 1

    def _on_motion(self, message: MotionDistributions) -> None:
        self.motions.append((time.monotonic() - self.start, age(message.header.stamp)))

    def _call(self) -> None:
        for name, (client, request) in self._watched.items():
            sent = time.monotonic()
            self.unanswered += 1
            client.call_async(request).add_done_callback(
                lambda _, name=name, sent=sent: self._answered(name, sent)
            )

    def _answered(self, name: str, sent: float) -> None:
        self.unanswered -= 1
        self.calls[name].append(time.monotonic() - sent)

    def _read_memory(self) -> None:
        pages = int(Path(f"/proc/{self._pid}/statm").read_text().split()[1])
        megabytes = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
        self.memory.append((time.monotonic() - self.start, megabytes))


def print_report(
    arguments: argparse.Namespace, monitor: Monitor, camera: dict, planners: list[dict]
) -> None:
    answers = np.array([answer for planner in planners for answer in planner["answers"]])
    errors = [error for planner in planners for error in planner["errors"]]
    seconds = 60 * arguments.minutes
    print(
        f"{arguments.size} at {camera['images'] / camera['seconds']:.1f} Hz, {seconds:.0f} s,",
        end=" ",
    )
    print(f"{len(planners)} planners, {CANDIDATES} candidates x {POINTS} points a request")
    print(f"requests            {len(answers) + len(errors)}, answered {len(answers)}", end="")
    print(f" ({len(answers) / seconds:.1f} a second), not {len(errors)} {sorted(set(errors))[:3]}")
    shares = [len(planner["answers"]) / max(len(answers), 1) for planner in planners]
    print(f"each planner's share of the answers  {', '.join(f'{s:.1%}' for s in shares)}")
    print(f"pokes               {monitor.pokes}, motions {len(monitor.motions)}")
    print_times("time to the answer", answers[:, 1])
    print_times("age of its image, first half", answers[answers[:, 0] < seconds / 2, 2])
    print_times("age of its image, second half", answers[answers[:, 0] >= seconds / 2, 2])
    print_times("age of the image behind motion", np.array(monitor.motions)[:, 1])
    for name, times in monitor.calls.items():
        print_times(name, np.array(times))
    print(f"calls not answered at the end  {monitor.unanswered}")
    memory = np.array(monitor.memory)
    settled = memory[memory[:, 0] > min(60.0, seconds / 4)]
    slope = np.polyfit(settled[:, 0] / 60, settled[:, 1], 1)[0]
    first, last = settled[:10, 1].mean(), settled[-10:, 1].mean()
    print(f"memory of the node  {first:.0f} MB after the first minute, {last:.0f} MB at the end")
    print(f"                    trend {slope:+.2f} MB a minute")


def print_times(name: str, seconds: np.ndarray) -> None:
    p50, p95, p99 = np.percentile(1000 * seconds, (50, 95, 99))
    print(
        f"{name:32} p50 {p50:6.0f}  p95 {p95:6.0f}  p99 {p99:6.0f}"
        f"  max {1000 * seconds.max():6.0f} ms  ({len(seconds)})"
    )


def plot(path: Path, monitor: Monitor, planners: list[dict]) -> None:
    """Ages of images and the node's memory over time."""
    import matplotlib.pyplot as plt

    figure, (above, below) = plt.subplots(2, 1, figsize=(8, 5), sharex=True)
    for planner in planners:
        answers = np.array(planner["answers"])
        above.plot(answers[:, 0] / 60, 1000 * answers[:, 2], ".", markersize=1)
    above.set_ylabel("age of the image\nbehind an answer [ms]")
    above.set_ylim(bottom=0)
    below.plot(*(np.array(monitor.memory) / (60, 1)).T)
    below.set_ylabel("memory of the node [MB]")
    below.set_ylim(bottom=0)
    below.set_xlabel("minutes")
    figure.tight_layout()
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
