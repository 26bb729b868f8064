# SPDX-License-Identifier: Apache-2.0
"""What it costs to draw a prediction for those who look, and the picture in space.

    python benchmarks/pictures.py [--checkpoint embedded] [--repeats 20]

A push of the recording on the node's 32 x 24 grid, and one with which everything moves a little,
the most that there is to draw. Times are of one thread, serialisation for the middleware included.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from rclpy.serialization import serialize_message
from std_msgs.msg import Header

from fpt_ros import Predictor
from fpt_ros.apps.scenes import recorded_scene
from fpt_ros.drawing import draw_motion
from fpt_ros.engine.motion import Motion
from fpt_ros.images import compressed_to_rgb
from fpt_ros.inference.view import grid_points
from fpt_ros.poke_tool.view import cloud_of
from fpt_ros.ros.conversions import rgb_to_message
from fpt_ros.ros.markers import motion_markers
from fpt_ros.ros.projection import plane_of

if TYPE_CHECKING:
    from collections.abc import Callable

RECORDING = Path(__file__).parents[1] / "recordings/drawer"
GRID = (32, 24)
SIZES = ((640, 480), (1280, 720))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--checkpoint", default="embedded")
    parser.add_argument("--repeats", type=int, default=20)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    scene = recorded_scene(RECORDING)
    push = scene.pushes[0]
    image = compressed_to_rgb(scene.frames[push.frame])
    predictor = Predictor.from_checkpoint(arguments.checkpoint)
    print("ms of one thread, best and median".ljust(40), "overlay".ljust(14), "markers".ljust(14),
          "with depth".ljust(14), "cloud")  # fmt: skip
    for size in SIZES:
        picture = cv2.resize(image, size)
        scale = np.array(size * 2) / (image.shape[1::-1] * 2)
        for name, poke in (("a drawer moves", push.poke), ("everything moves", (100, 100, 6, 0))):
            motion = predicted(predictor, picture, np.asarray(poke, np.float32) * scale)
            row = [timed(draw, arguments.repeats) for draw in pictures(picture, motion)]
            print(f"{size[0]} x {size[1]}, {name}".ljust(40), *(text.ljust(14) for text in row))


def predicted(predictor: Any, picture: np.ndarray, poke: np.ndarray) -> Motion:
    size = (picture.shape[1], picture.shape[0])
    points, pokes = grid_points(*size, *GRID), poke.astype(np.float32)[None]
    mixture = predictor.predict(predictor.embed(picture), pokes, points)
    arrays = (mixture.weights, mixture.locs, mixture.covariances)
    weights, means, covariances = (np.asarray(array, np.float32) for array in arrays)
    return Motion(pokes, points, weights, means, covariances, size, grid=GRID)


def pictures(picture: np.ndarray, motion: Motion) -> list[Callable[[], Any]]:
    """What makes the messages overlay, markers, markers on depth, and cloud."""
    height, width = picture.shape[:2]
    depth = np.random.default_rng(0).uniform(1, 2, (height, width)).astype(np.float32)
    depth[: height // 4] = np.nan
    header, fields = Header(), ("pokes", "points", "weights", "means", "covariances", "grid")
    drawn = {field.name: getattr(motion, field.name) for field in dataclasses.fields(motion)}
    surface = plane_of((width, height), None)
    return [
        lambda: rgb_to_message(draw_motion(picture, *(drawn[field] for field in fields)), header),
        lambda: motion_markers(motion, header, None),
        lambda: motion_markers(motion, header, None, depth),
        lambda: cloud_of(picture, surface, header),
    ]


def timed(draw: Callable[[], Any], repeats: int) -> str:
    """Milliseconds of this thread's processor time, best and median."""
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        serialize_message(draw())
        times.append(1000 * (time.thread_time() - start))
    return f"{min(times):5.1f} {np.median(times):5.1f}"


if __name__ == "__main__":
    main()
