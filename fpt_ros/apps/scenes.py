# SPDX-License-Identifier: Apache-2.0
"""What the demo shows: frames of a camera, and the pushes that a planner asks about on the way."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage

from fpt_ros.apps.bags import read_bag
from fpt_ros.inference.view import View, check_pokes

if TYPE_CHECKING:
    from jaxtyping import Float

IMAGE_TOPIC = "/camera/image/compressed"
PUSHES_FILE = "pushes.json"


@dataclasses.dataclass(frozen=True)
class Push:
    """A poke to ask about and the points of interest."""

    title: str
    frame: int
    """Index of the frame that it is about."""
    poke: Float[np.ndarray, "4"]
    """x, y, dx, dy, pixels."""
    names: list[str]
    """Of the points."""
    points: Float[np.ndarray, "n 2"]
    """Pixels."""
    truth: Float[np.ndarray, "n 2"] | None = None
    """Where the points really go, pixels, if that is known."""


@dataclasses.dataclass(frozen=True)
class Scene:
    """Frames, the time between them, and pushes in order of their frames."""

    name: str
    frames: list[CompressedImage]
    period: float
    """Seconds."""
    pushes: list[Push]


def recorded_scene(folder: Path) -> Scene:
    """A recording: a bag with a camera's compressed images, and its pushes beside them."""
    recorded = [(m, t) for topic, m, t in read_bag(folder / "bag") if topic == IMAGE_TOPIC]
    frames, times = [m for m, _ in recorded], np.array([t for _, t in recorded])
    period = float(np.median(np.diff(times))) / 1e9
    pushes = [read_push(entry) for entry in json.loads((folder / PUSHES_FILE).read_text())]
    return Scene(folder.name, frames, period, sorted(pushes, key=lambda push: push.frame))


def read_push(entry: dict) -> Push:
    """One entry of a pushes file: title, frame, poke, and points with name, x, y[, dx, dy]."""
    points = entry["points"]
    known = all("dx" in point for point in points)
    return Push(
        entry["title"],
        entry["frame"],
        np.array(entry["poke"], float),
        [point["name"] for point in points],
        np.array([[point["x"], point["y"]] for point in points], float),
        np.array([[point["dx"], point["dy"]] for point in points], float) if known else None,
    )


def photo_scene(path: Path, poke: tuple[float, ...] | None) -> Scene:
    """A user's own picture with one poke; none given: from the middle, a tenth to the right.

    Raises:
        ValueError: no picture there, or a poke that is not on it.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"{path} is not a picture that OpenCV can read")
    height, width = image.shape[:2]
    side = min(View(width, height).sides)
    given = poke or ((width - 1) / 2, (height - 1) / 2, side / 10, 0.0)
    pokes = np.array([given], float)
    check_pokes(pokes, width, height)
    data = cv2.imencode(".png", image)[1].tobytes()
    frame = CompressedImage(format="png", data=data)
    frame.header.frame_id = path.stem
    names, points = points_around(pokes[0], width, height)
    return Scene(path.stem, [frame], 0.1, [Push(f"poke {path.name}", 0, pokes[0], names, points)])


def points_around(
    poke: Float[np.ndarray, "4"], width: int, height: int
) -> tuple[list[str], Float[np.ndarray, "n 2"]]:
    """The poked point and rings of eight around it, those that lie on the image."""
    names, points = ["poked point"], [poke[:2]]
    side = min(width, height)
    compass = ("right", "below right", "below", "below left", "left", "above left", "above")
    for share in (0.08, 0.2, 0.35):
        for i, name in enumerate((*compass, "above right")):
            angle = i * np.pi / 4
            point = poke[:2] + share * side * np.array([np.cos(angle), np.sin(angle)])
            if (point >= 0).all() and (point <= (width - 1, height - 1)).all():
                names.append(f"{share * side:.0f} px {name}")
                points.append(point)
    return names, np.array(points)
