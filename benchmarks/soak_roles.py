# SPDX-License-Identifier: Apache-2.0
"""The other processes of the soak: a camera, a planner that behaves, and clients that get killed.

    python benchmarks/soak_roles.py camera|planner|asker|sampler FOLDER

FOLDER holds the pictures, which `soak.py` writes; the planner leaves `planner.json` there when it
gets SIGTERM. The others run until they are killed.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections import Counter
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from fpt_ros.action import SampleMotion
from fpt_ros.msg import Poke, PokeArray
from fpt_ros.srv import EvaluatePokes
from rclpy.action import ActionClient
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image
from soak_images import PICTURES

from fpt_ros.client import MotionClient, MotionError
from fpt_ros.ros.conversions import floats

NAMESPACE = "/fpt_soak"
IMAGE_RATE, ASK_RATE = 10.0, 5.0  # Hz
SIZE = (320, 240)
TIMEOUT = 30.0  # seconds, after which an answer counts as lost
PATIENCE = 120.0  # the same for the planner, whose questions wait their turn under overload
TOLERANCE = 1e-3  # pixels, and probabilities, between the node's answers and a Predictor's

POKES = [[160.0, 120.0, 20.0, -5.0]]
POINTS = [[160.0, 120.0], [170.0, 100.0], [40.0, 30.0], [300.0, 200.0]]
CANDIDATES = [[[160.0, 120.0, dx, dy]] for dx in (-20.0, 20.0) for dy in (-10.0, 10.0)]
GOALS = [[10.0, 0.0]] * len(POINTS)


def main() -> None:
    role, folder = sys.argv[1], Path(sys.argv[2])
    rclpy.init()
    {"camera": run_camera, "planner": run_planner, "asker": run_asker, "sampler": run_sampler}[
        role
    ](folder)


def run_camera(folder: Path) -> None:
    """Publish the pictures in turn, raw and compressed; frame_id is the picture's number."""
    node = Node("camera", namespace=NAMESPACE)
    raw = node.create_publisher(Image, "image", qos_profile_sensor_data)
    compressed = node.create_publisher(CompressedImage, "image/compressed", qos_profile_sensor_data)
    pictures = np.load(folder / "pictures.npy")
    files = [(folder / f"{number}.png").read_bytes() for number in range(PICTURES)]
    count = 0
    while True:
        number = count % PICTURES
        image = image_message(pictures[number], node.get_clock().now().to_msg(), str(number))
        raw.publish(image)
        compressed.publish(CompressedImage(header=image.header, format="png", data=files[number]))
        count += 1
        time.sleep(1 / IMAGE_RATE)


def image_message(picture: np.ndarray, stamp: Any, frame_id: str) -> Image:
    """An rgb8 image."""
    height, width, _ = picture.shape
    image = Image(height=height, width=width, encoding="rgb8", step=3 * width)
    image.data = picture.tobytes()
    image.header.stamp, image.header.frame_id = stamp, frame_id
    return image


class Planner:
    """Asks at a fixed rate and compares each answer with a Predictor's numbers."""

    def __init__(self, folder: Path) -> None:
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.lost: list[str] = []
        self.longest = 0.0
        self._means, self._probabilities = predictor_answers(np.load(folder / "pictures.npy"))

    def ask(self, client: MotionClient, turn: int) -> None:
        """One question, of the two kinds in turns."""
        self.counts["asked"] += 1
        if turn % 2:
            future: Any = client.predict_async(POKES, POINTS)
        else:
            future = client.evaluate_async(CANDIDATES, POINTS, GOALS, 10.0, return_motions=True)
        asked = time.monotonic()
        future.add_done_callback(lambda done: self._take(done, time.monotonic() - asked))

    def _take(self, future: Any, seconds: float) -> None:
        self.longest = max(self.longest, seconds)
        try:
            answer = future.result()
        except MotionError as error:
            self.counts[f"refused {error.code}"] += 1
        except (TimeoutError, CancelledError) as error:
            self.counts["lost"] += 1
            self.lost.append(str(error))
        else:
            self.counts["answered"] += 1
            self._check(answer)

    def _check(self, answer: Any) -> None:
        if hasattr(answer, "mean"):
            picture = int(answer.header.frame_id)
            difference = np.abs(answer.mean - self._means[picture]).max()
        else:
            picture = int(answer.motions[0].header.frame_id)
            difference = np.abs(answer.probability - self._probabilities[picture]).max()
        if not difference <= TOLERANCE:
            self.wrong.append(
                f"{type(answer).__name__} of picture {picture} is off by {difference}"
            )


def predictor_answers(pictures: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """For each picture the means of the points, and the candidates' probabilities."""
    import torch  # this process alone has a model

    from fpt_ros import Predictor

    torch.set_num_threads(1)
    predictor = Predictor.from_checkpoint("embedded", device="cpu")
    contexts = [predictor.embed(picture) for picture in pictures]
    points = np.array(POINTS)
    means = [predictor.predict(context, np.array(POKES), points).mean for context in contexts]
    candidates = [np.array(candidate) for candidate in CANDIDATES]
    probabilities = [
        predictor.evaluate(context, candidates, points, np.array(GOALS), 10.0).probability
        for context in contexts
    ]
    return [mean.numpy() for mean in means], [np.asarray(p) for p in probabilities]


def run_planner(folder: Path) -> None:
    """Ask until SIGTERM, then write what came of it; `planner.ready` is there at an answer."""
    planner, ended = Planner(folder), []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    with MotionClient(name=f"{NAMESPACE}/fpt", timeout=PATIENCE) as client:
        client.wait_until_ready()
        turn = 0
        while not ended:
            planner.ask(client, turn)
            turn += 1
            time.sleep(1 / ASK_RATE)
            if planner.counts["answered"]:
                (folder / "planner.ready").touch()
        give_up = time.monotonic() + PATIENCE + 5.0
        while sum(planner.counts.values()) < 2 * turn and time.monotonic() < give_up:
            time.sleep(0.1)
    found = {
        "counts": planner.counts,
        "wrong": planner.wrong,
        "lost": planner.lost,
        "longest": planner.longest,
    }
    (folder / "planner.json").write_text(json.dumps(found))


def run_asker(folder: Path) -> None:
    """Ask for much, many times at once, and wait to be killed."""
    node = Node("asker", namespace=NAMESPACE)
    client = node.create_client(EvaluatePokes, "fpt/evaluate_pokes")
    client.wait_for_service(TIMEOUT)
    for _ in range(10):
        client.call_async(evaluate_request(256))
    print("asked", flush=True)
    rclpy.spin(node)


def run_sampler(folder: Path) -> None:
    """Send long goals and wait to be killed."""
    node = Node("sampler", namespace=NAMESPACE)
    client = ActionClient(node, SampleMotion, "fpt/sample_motion")
    client.wait_for_server(TIMEOUT)
    axis = np.linspace(0.0, 200.0, 100)
    for _ in range(3):
        client.send_goal_async(
            SampleMotion.Goal(pokes=pokes(POKES), x=floats(axis), y=floats(axis), samples=100)
        )
    print("asked", flush=True)
    rclpy.spin(node)


def evaluate_request(candidates: int) -> EvaluatePokes.Request:
    """A question about so many candidates and 16 points."""
    rng = np.random.default_rng(candidates)
    x, y, dx, dy = (floats(rng.uniform(10, 200, 16)) for _ in range(4))
    return EvaluatePokes.Request(
        candidates=[
            PokeArray(pokes=pokes([[160.0, 120.0, *rng.normal(0, 20, 2)]]))
            for _ in range(candidates)
        ],
        x=x,
        y=y,
        goal_dx=dx,
        goal_dy=dy,
        tolerance=10.0,
    )


def pokes(rows: list[list[float]]) -> list[Poke]:
    """Messages of rows (x, y, dx, dy)."""
    return [Poke(x=x, y=y, dx=dx, dy=dy) for x, y, dx, dy in rows]


if __name__ == "__main__":
    main()
