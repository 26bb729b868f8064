# SPDX-License-Identifier: Apache-2.0
"""How long a joint takes, from the image's features to the answer, on simulated scenes.

    OMP_NUM_THREADS=2 python benchmarks/joints.py --repeats 20

Prints a table of milliseconds: the part asked about only where the pokes are (as
`~/predict_motion_3d` does), the whole picture segmented, the fit, and an observation.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from fpt_ros.engine.depth_image import Depth
from fpt_ros.engine.engine import Engine
from fpt_ros.engine.frames import Frame
from fpt_ros.engine.joints import Question3D, observe_motion, predict_3d
from fpt_ros.engine.settings import Settings
from fpt_ros.engine.statistics import Statistics
from fpt_ros.geometry import Camera, JointKind
from fpt_ros.inference.local_segmentation import poked_part_steps
from fpt_ros.inference.predictor import Predictor
from fpt_ros.inference.steps import finish

CAMERA = Camera(580.0, 580.0, 319.5, 239.5, 640, 480)
WALL, BOARD = 1.2, 0.8
"""Metres ahead."""
LEFT, RIGHT, TOP, BOTTOM = 200, 460, 140, 340
"""Of the board before it moves, pixels."""
SLIDE = 0.03
"""Metres to the right."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--checkpoint", default="embedded")
    arguments = parser.parse_args()
    predictor = Predictor.from_checkpoint(arguments.checkpoint)
    engine = Engine(predictor, Settings(), Statistics(), time.time)
    engine.read_camera = lambda: CAMERA
    for second, shift in ((1, 0.0), (2, SLIDE)):
        image, depth = draw(shift)
        stamp = (second, 0)
        engine.add_image(Frame(None, stamp, functools.partial(np.asarray, image)))
        engine.add_depth(Depth(stamp, functools.partial(np.asarray, depth)))
    dx = SLIDE * CAMERA.fx / BOARD
    places = np.array([[230, 170], [430, 170], [230, 310], [430, 310]])
    pokes = np.column_stack([places, np.full(4, dx), np.zeros(4)]).astype(np.float32)
    print("| step | median [ms] | slowest [ms] |\n| --- | --- | --- |")
    for name, step in steps(engine, predictor, pokes).items():
        step()
        taken = [timed(step) for _ in range(arguments.repeats)]
        print(f"| {name} | {1000 * statistics.median(taken):.0f} | {1000 * max(taken):.0f} |")


def steps(
    engine: Engine, predictor: Predictor, pokes: Float32[np.ndarray, "p 4"]
) -> dict[str, Callable[[], object]]:
    """What is timed, by its name."""
    frame = engine.find((1, 0))
    context = predictor.embed(frame.rgb)
    none, points = np.zeros((0, 6)), np.zeros((0, 2), np.float32)
    mask = draw(0.0)[1] < WALL
    unknown = Question3D(pokes, none, points)
    masked = Question3D(pokes, none, points, mask)

    def segment() -> object:
        context.unpoked.clear()
        return predictor.segment(context, pokes)

    def observe() -> object:
        return finish(observe_motion(engine, (1, 0), (2, 0), pokes[:1], JointKind.UNKNOWN, None))

    return {
        "predict_motion_3d, the part predicted": lambda: finish(
            predict_3d(engine, (1, 0), unknown)
        ),
        "of it the part about the pokes": lambda: finish(
            poked_part_steps(predictor, context, pokes)
        ),
        "predict_motion_3d, a mask given": lambda: finish(predict_3d(engine, (1, 0), masked)),
        "for comparison: the whole picture segmented": segment,
        "the image's features": lambda: predictor.embed(frame.rgb),
        "observe_motion": observe,
    }


def timed(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def draw(shift: float) -> tuple[UInt8[np.ndarray, "h w 3"], Float32[np.ndarray, "h w"]]:
    """A textured board before a textured wall, moved to the right [m], and its depth [m]."""
    moved = round(shift * CAMERA.fx / BOARD)
    image, depth = texture(1), np.full((480, 640), WALL, np.float32)
    there = np.s_[TOP:BOTTOM, LEFT + moved : RIGHT + moved]
    image[there] = texture(2)[TOP:BOTTOM, LEFT:RIGHT]
    depth[there] = BOARD
    return image, depth


def texture(seed: int) -> UInt8[np.ndarray, "h w 3"]:
    noise: Float[np.ndarray, "60 80 3"] = np.random.default_rng(seed).uniform(0, 255, (60, 80, 3))
    return cv2.resize(noise, (640, 480), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype("u1")


if __name__ == "__main__":
    main()
