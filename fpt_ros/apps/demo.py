# SPDX-License-Identifier: Apache-2.0
"""Shows the node at work: plays a recording, or a picture of your own, into it and asks what moves.

    make demo
    make demo IMAGE=photo.jpg POKE=x,y,dx,dy

The node runs as a process of its own; images, pokes and answers go over DDS. Pictures, the answers
as a bag, and the node's log are left in a folder.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import rclpy
from ament_index_python.packages import get_package_prefix, get_package_share_directory
from tqdm import tqdm

from fpt_ros.apps.bags import write_bag
from fpt_ros.apps.outcomes import table
from fpt_ros.apps.planner import Answer, Planner
from fpt_ros.apps.scenes import IMAGE_TOPIC, Push, Scene, photo_scene, recorded_scene
from fpt_ros.command_line import CommandParser
from fpt_ros.drawing import draw_flow
from fpt_ros.images import compressed_to_rgb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor_msgs.msg import CompressedImage

NAMESPACE = "/fpt_demo"
RECORDING = "recordings/drawer"
PARAMETERS = {"autostart": "true", "image_transport": "compressed", "trigger": "pokes"}
START_PATIENCE = 60.0  # seconds


def main() -> None:
    arguments = parse_arguments()
    try:
        scene = choose_scene(arguments)
        answers = run(scene, fresh_folder(arguments.out), arguments.checkpoint)
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"demo: {error}")
    for push, answer in zip(scene.pushes, answers, strict=True):
        print("\n" + table(push, answer))
    print(f"\nPictures, the answers as a bag and the node's log are in {arguments.out.resolve()}:")
    for path in sorted(arguments.out.iterdir()):
        print(f"  {path.name}")


def parse_arguments() -> argparse.Namespace:
    parser = CommandParser(description=__doc__.split("\n")[0])
    parser.add_argument("--image", type=Path, help="a picture of your own")
    parser.add_argument("--poke", help="x,y,dx,dy in pixels of that picture")
    parser.add_argument("--out", type=Path, default=Path("demo"), help="replaced if it exists")
    parser.add_argument("--checkpoint", default="embedded", help="the node's parameter")
    return parser.parse_args()


def choose_scene(arguments: argparse.Namespace) -> Scene:
    """The user's picture, or the recording that is installed with the package.

    Raises:
        ValueError: a picture or poke that cannot be used.
    """
    if arguments.image is None:
        if arguments.poke:
            raise ValueError("a poke of your own needs a picture of your own: give IMAGE, too")
        return recorded_scene(Path(get_package_share_directory("fpt_ros"), RECORDING))
    return photo_scene(arguments.image, read_poke(arguments.poke) if arguments.poke else None)


def read_poke(text: str) -> tuple[float, ...]:
    """Four numbers, separated by commas.

    Raises:
        ValueError: something else.
    """
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise ValueError(f"POKE is {text!r}: must be four numbers x,y,dx,dy") from error
    if len(numbers) != 4:
        raise ValueError(f"POKE is {text!r}: has {len(numbers)} numbers, must have 4, x,y,dx,dy")
    return numbers


def fresh_folder(path: Path) -> Path:
    """An empty folder; one that an earlier demo left is replaced, any other is not touched.

    Raises:
        ValueError: a folder that is not a demo's.
    """
    if path.exists():
        if any(path.iterdir()) and not (path / "node.log").is_file():
            raise ValueError(f"{path} exists and was not left by a demo: choose another with --out")
        shutil.rmtree(path)
    path.mkdir(parents=True)
    return path


def run(scene: Scene, out: Path, checkpoint: str) -> list[Answer]:
    """Play the scene into a node, and leave pictures and answers in `out`.

    Raises:
        RuntimeError: the node ended, or did not become active.
        TimeoutError: the node did not answer.
    """
    rclpy.init()
    planner = Planner(NAMESPACE)
    try:
        with (
            node_process(out / "node.log", checkpoint) as process,
            write_bag(out / "answers") as write,
        ):
            wait_until_active(planner, process, out / "node.log")
            answers = []
            for frame, push in play(planner, scene):
                answer = planner.ask(frame, push)
                answers.append(answer)
                name = f"{len(answers)}_{re.sub(r'[^a-z0-9]+', '_', push.title.lower())}"
                save_pictures(out / name, frame, push, answer)
                now = time.time_ns()
                write(f"{NAMESPACE}{IMAGE_TOPIC.removeprefix('/camera')}", frame, now)
                write(f"{NAMESPACE}/pokes", answer.pokes, now)
                write(f"{NAMESPACE}/motion", answer.motion, now)
            return answers
    finally:
        planner.node.destroy_node()
        rclpy.try_shutdown()


def play(planner: Planner, scene: Scene) -> Iterator[tuple[CompressedImage, Push]]:
    """Show the frames at their pace; give those that pushes are about, with the push."""
    pushes = list(scene.pushes)
    for i, frame in enumerate(tqdm(scene.frames, f"playing {scene.name}", unit="frame")):
        planner.show(frame)
        planner.spin_for(scene.period)
        while pushes and pushes[0].frame <= i:
            yield frame, pushes.pop(0)


@contextmanager
def node_process(log: Path, checkpoint: str) -> Iterator[subprocess.Popen]:
    """The node's executable, ended at the end."""
    executable = Path(get_package_prefix("fpt_ros"), "lib", "fpt_ros", "fpt_node")
    parameters = PARAMETERS | {"checkpoint": checkpoint}
    settings = [part for name, value in parameters.items() for part in ("-p", f"{name}:={value}")]
    command = [sys.executable, str(executable), "--ros-args", "-r", f"__ns:={NAMESPACE}", *settings]
    with log.open("w") as file:
        process = subprocess.Popen(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def wait_until_active(planner: Planner, process: subprocess.Popen, log: Path) -> None:
    """Until the node listens.

    Raises:
        RuntimeError: it ended or takes too long; with the end of its log.
    """
    deadline = time.monotonic() + START_PATIENCE
    with tqdm(desc="starting the node", bar_format="{desc}: {elapsed}"):
        while not planner.node_is_active():
            planner.spin_for(0.1)
            refused = "cannot configure" in log.read_text()
            if refused or process.poll() is not None or time.monotonic() > deadline:
                end = "\n".join(log.read_text().splitlines()[-8:])
                raise RuntimeError(f"the node did not become active. The end of its log:\n{end}")
    planner.spin_for(0.5)  # its publishers need a moment to find us


def save_pictures(path: Path, frame: CompressedImage, push: Push, answer: Answer) -> None:
    """The node's overlay (mixtures at the query points) and its dense flow in colours."""
    shape = answer.overlay.height, answer.overlay.width, 3
    overlay = np.frombuffer(answer.overlay.data, np.uint8).reshape(shape)
    cv2.imwrite(f"{path}.overlay.png", overlay[..., ::-1])
    image = compressed_to_rgb(frame)
    flow = np.frombuffer(answer.flow.data, np.float32)
    flow = flow.reshape(answer.flow.height, answer.flow.width, 2)
    picture = draw_flow(image, flow, push.poke[None])
    cv2.imwrite(f"{path}.flow.png", picture[..., ::-1])


if __name__ == "__main__":
    main()
