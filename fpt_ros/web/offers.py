# SPDX-License-Identifier: Apache-2.0
"""Pictures, films and bags that the page offers: those that ship, and those of a folder."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from fpt_ros.encodings import ImageError
from fpt_ros.image_files import read_header
from fpt_ros.images import decode_file
from fpt_ros.web.messages import LIMITS, STATIC

if TYPE_CHECKING:
    from jaxtyping import UInt8

SAMPLES = STATIC / "samples"
PICTURES = {".jpg", ".jpeg", ".png"}
FILMS = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"}
MAX_FILE_PIXELS = 50_000_000
"""Of a picture in the folder, by its header; it is made smaller then."""


@dataclasses.dataclass(frozen=True)
class Offer:
    """A picture, or a film of several frames."""

    name: str
    title: str
    read: Callable[[int], UInt8[np.ndarray, "h w 3"]]
    """The frame of a number, RGB; ValueError or OSError where that cannot be."""
    count: Callable[[], int] = lambda: 1
    """How many frames there are; may take long the first time."""
    pokes: tuple[tuple[float, ...], ...] = ()
    """To begin with: x, y, dx, dy, pixels."""
    query: tuple[float, ...] = ()
    """The point to ask about first."""


class Offers:
    """Everything that is offered, by name. What has no name here cannot be opened."""

    def __init__(self, folder: Path | None = None) -> None:
        """Raises ValueError where the folder is none."""
        found = shipped()
        if folder is not None:
            if not folder.is_dir():
                raise ValueError(f"{folder} is not a folder")
            found += in_folder(folder)
        self._offers = {offer.name: offer for offer in found}
        self._reading = threading.Lock()

    def listed(self) -> list[dict[str, Any]]:
        """For the page, see `Sample` in static/engine.js."""
        return [
            {
                "name": offer.name,
                "title": offer.title,
                "pokes": offer.pokes,
                "query": offer.query,
            }
            for offer in self._offers.values()
        ]

    def open(self, name: str, frame: int | None) -> tuple[UInt8[np.ndarray, "h w 3"], int, int]:
        """A frame, at most as large as the page takes, its number, and how many there are.

        Args:
            frame: None: the first.

        Raises:
            ValueError: nothing of that name or number is offered, or it cannot be read.
        """
        offer = self._offers.get(name)
        if offer is None:
            raise ValueError(f"sample is {name!r}: nothing of that name is offered")
        with self._reading:  # one at a time: a film is decoded whole to count its frames
            count = offer.count()
            number = frame or 0
            if not 0 <= number < count:
                raise ValueError(f"frame is {number}: must be in [0, {count - 1}]")
            return smaller(offer.read(number)), number, count


def shipped() -> list[Offer]:
    """The pictures in static/samples, as samples.json lists them."""
    return [
        Offer(
            entry["name"],
            entry["title"],
            partial(_only_frame, SAMPLES / entry["file"]),
            pokes=tuple(map(tuple, entry["pokes"])),
            query=tuple(entry["query"]),
        )
        for entry in json.loads((SAMPLES / "samples.json").read_text())
    ]


def in_folder(folder: Path) -> list[Offer]:
    """Pictures, films and bags in a folder and those below it; nothing that a link leads to
    outside of it."""
    root = folder.resolve()
    found: list[Offer] = []
    for path in sorted(root.rglob("*")):
        if not path.resolve().is_relative_to(root):
            continue
        title = str(path.relative_to(root))
        if path.suffix.lower() in PICTURES:
            found.append(Offer(f"folder/{title}", title, partial(_only_frame, path)))
        elif path.suffix.lower() in FILMS:
            found.append(_film(path, title))
        elif path.name == "metadata.yaml":
            found += _topics(path.parent, str(path.parent.relative_to(root)))
    return found


def _film(path: Path, title: str) -> Offer:
    from fpt_ros.data.videos import VideoSource

    source = VideoSource(path, title)
    return _frames(source, title)


def _topics(bag: Path, title: str) -> list[Offer]:
    from fpt_ros.data.bags import BagSource, bag_topics

    sources = [source for source in bag_topics(bag, title, None) if isinstance(source, BagSource)]
    return [_frames(source, f"{title} {source.topic}") for source in sources]


def _frames(source: Any, title: str) -> Offer:
    def read(number: int) -> UInt8[np.ndarray, "h w 3"]:
        return np.asarray(next(iter(source.frames([number]))), np.uint8)

    return Offer(f"folder/{title}", title, read, lambda: len(source.times()))


def _only_frame(path: Path, _: int) -> UInt8[np.ndarray, "h w 3"]:
    return decoded(path.read_bytes(), MAX_FILE_PIXELS)


def decoded(data: bytes, max_pixels: int) -> UInt8[np.ndarray, "h w 3"]:
    """RGB of a jpeg or png file, upright as EXIF says; its size is looked at before decoding.

    Raises:
        ValueError: no jpeg or png that can be read to its end, or of more than `max_pixels`.
    """
    header = read_header(data)
    if header.width * header.height > max_pixels:
        raise ImageError(
            f"the picture is {header.width} x {header.height} = {header.width * header.height} "
            f"pixels: must be at most {max_pixels}"
        )
    image = decode_file(data, header, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(image[..., ::-1], np.uint8)


def smaller(rgb: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """The picture with no more pixels than the page takes."""
    height, width = rgb.shape[:2]
    scale = (LIMITS["image_pixels"] / (width * height)) ** 0.5
    if scale >= 1:
        return rgb
    size = max(1, int(width * scale)), max(1, int(height * scale))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def png(rgb: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, " bytes"]:
    """The picture as a file, its pixels unchanged."""
    quick = [cv2.IMWRITE_PNG_COMPRESSION, 1]
    return np.asarray(cv2.imencode(".png", rgb[..., ::-1], quick)[1], np.uint8).reshape(-1)
