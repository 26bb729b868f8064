# SPDX-License-Identifier: Apache-2.0
"""Image topics of ROS 2 bags (mcap and sqlite3), read with `rosbags`: no ROS is needed."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fpt_ros.data.cutting import Recording
from fpt_ros.encodings import ImageError, NoPictureError
from fpt_ros.images import (
    DEFAULT,
    Reading,
    check_compressed,
    check_image,
    compressed_to_rgb,
    image_to_rgb,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from jaxtyping import UInt8

RAW, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
OWN = re.compile(r"/overlay(/\w+)?$")
"""Pictures that the node has drawn on; the transport's name may follow."""


@dataclass(frozen=True)
class BagSource:
    """A `Source`: an image topic of a bag, in the order in which it was recorded.

    Times are the images' own stamps, or the time of recording where a driver leaves them zero.
    """

    path: Path
    name: str
    topic: str
    reading: Reading = DEFAULT

    def times(self) -> list[float]:
        return [stamp / 1e9 for stamp, _ in self._order]

    def recording(self) -> Recording:
        return Recording(self.times())

    def frames(self, indices: list[int]) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        numbers = [self._order[index][1] for index in indices]
        wanted, ready = set(numbers), {}
        recorded = [self._recorded[number] for number in numbers]
        first = bisect_left(self._recorded, min(recorded))
        with self._messages(start=min(recorded), stop=max(recorded) + 1) as messages:
            for number, (_, message) in enumerate(messages, first):
                if number in wanted:
                    raw = message.__msgtype__ == RAW
                    convert: Callable[..., Any] = image_to_rgb if raw else compressed_to_rgb
                    ready[number] = convert(message, self.reading)
                while numbers and numbers[0] in ready:
                    yield ready.pop(numbers.pop(0))
        if numbers:
            raise ValueError("the bag has changed while it was read")

    @cached_property
    def _recorded(self) -> list[int]:
        """When each message was recorded, ns, in the order of the bag."""
        return [time for time, _ in self._scan]

    @cached_property
    def _order(self) -> list[tuple[int, int]]:
        """Stamp [ns] and number of each message; of two with one stamp, the first."""
        found: list[tuple[int, int]] = []
        for number, (_, stamp) in enumerate(self._scan):
            if not found or stamp != found[-1][0]:
                found.append((stamp, number))
        return found

    @cached_property
    def _scan(self) -> list[tuple[int, int]]:
        """When each message was recorded, and its stamp, both in ns.

        ImageError where the topic holds no picture that can be read.
        """
        found: list[tuple[int, int]] = []
        refused: list[ImageError] = []
        with self._messages() as messages:
            for time, message in messages:
                if len(refused) == len(found):  # a picture was not among them yet
                    refused += self._refused(message)
                found.append((time, _stamp(message) or time))
        if not found:
            raise ValueError("has no images")
        if len(refused) == len(found):
            raise ImageError(f"has no picture that can be read: {refused[0]}")
        return found

    def _refused(self, message: Any) -> list[ImageError]:
        """Why it is not read, if so; NoPictureError for depth, which a whole topic consists of."""
        try:
            if message.__msgtype__ == RAW:
                check_image(message, self.reading)
            else:
                check_compressed(message, self.reading)
        except NoPictureError as error:
            raise NoPictureError(f"is left out: {error}") from error
        except ImageError as error:
            return [error]
        return []

    @contextmanager
    def _messages(self, **span: int) -> Iterator[Iterator[tuple[int, Any]]]:
        """Time of recording [ns] and message, in the order of the bag."""
        from rosbags.rosbag2 import Reader

        types = _typestore()
        try:
            with Reader(self.path) as reader:
                connections = [c for c in reader.connections if c.topic == self.topic]
                yield (
                    (time, types.deserialize_cdr(data, connection.msgtype))
                    for connection, time, data in reader.messages(connections, **span)
                )
        except ValueError:
            raise
        except Exception as error:  # damaged bags raise whatever the reader stumbles over
            raise ValueError(f"cannot be read from the bag: {error}") from error


@dataclass(frozen=True)
class LeftOut:
    """A `Source` that is none, and says why."""

    path: Path
    name: str
    why: str

    def recording(self) -> Recording:
        raise ValueError(self.why)

    def frames(self, indices: list[int]) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        raise ValueError(self.why)


def bag_topics(
    path: Path, name: str, topics: list[str] | None, reading: Reading = DEFAULT
) -> list[BagSource | LeftOut]:
    """The image topics of a bag, or those of them that are wanted.

    What is left out says why: a bag that cannot be opened or has not all topics that are wanted,
    and, where none are named, pictures that this package's node has drawn on.

    Raises ValueError where bags cannot be read at all.
    """
    try:
        from rosbags.rosbag2 import Reader
    except ImportError as error:
        raise ValueError(f"{path}: reading bags needs pip install 'fpt_ros[train]'") from error
    try:
        with Reader(path) as reader:
            images = {c.topic for c in reader.connections if c.msgtype in (RAW, COMPRESSED)}
    except Exception as error:  # damaged bags raise whatever the reader stumbles over
        return [LeftOut(path, name, f"cannot be read from the bag: {error}")]
    found: list[BagSource | LeftOut] = []
    missing = sorted(set(topics or []) - images)
    if missing:
        there = ", ".join(sorted(images)) or "none"
        found.append(LeftOut(path, name, f"no image topic {', '.join(missing)}: it has {there}"))
    for topic in sorted(images if topics is None else images.intersection(topics)):
        if topics is None and OWN.search(topic):
            why = f"is left out: an overlay, drawn by a node; --topic {topic} takes it"
            found.append(LeftOut(path, name + topic, why))
        else:
            found.append(BagSource(path, name + topic, topic, reading))
    return found


def _stamp(message: Any) -> int:
    stamp = message.header.stamp
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


def _typestore() -> Any:
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS2_JAZZY)
