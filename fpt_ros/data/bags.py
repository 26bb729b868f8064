"""Image topics of ROS 2 bags (mcap and sqlite3), read with `rosbags`: no ROS is needed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fpt_ros.images import compressed_to_rgb, image_to_rgb

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt8

RAW, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"


@dataclass(frozen=True)
class BagSource:
    """A `Source`: an image topic of a bag, in order of the images' own stamps.

    Where a camera's driver leaves the stamp zero, the time of recording counts.
    """

    path: Path
    name: str
    topic: str

    def times(self) -> list[float]:
        return [stamp / 1e9 for stamp, _ in self._order]

    def frames(self, indices: list[int]) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        numbers = [self._order[index][1] for index in indices]
        wanted, ready = set(numbers), {}
        recorded = [self._recorded[number] for number in numbers]
        first = bisect_left(self._recorded, min(recorded))
        with self._messages(start=min(recorded), stop=max(recorded) + 1) as messages:
            for number, (_, message) in enumerate(messages, first):
                if number in wanted:
                    raw = message.__msgtype__ == RAW
                    ready[number] = image_to_rgb(message) if raw else compressed_to_rgb(message)
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
        """Stamp [ns] and number of each message, in order of the stamps."""
        stamps: dict[int, int] = {}
        for number, (_, stamp) in enumerate(self._scan):
            stamps.setdefault(stamp, number)  # of two images with one stamp the first
        return sorted(stamps.items())

    @cached_property
    def _scan(self) -> list[tuple[int, int]]:
        with self._messages() as messages:
            found = [(time, _stamp(message) or time) for time, message in messages]
        if not found:
            raise ValueError("has no images")
        return found

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


def bag_topics(path: Path, name: str, topics: list[str] | None) -> list[BagSource]:
    """The image topics of a bag, or those of them that are wanted.

    Of a bag that cannot be opened a source without a topic, whose `times` says why.

    Raises ValueError for a bag that has no such topic.
    """
    try:
        from rosbags.rosbag2 import Reader, ReaderError
    except ImportError as error:
        raise ValueError(f"{path}: reading bags needs pip install 'fpt_ros[demo]'") from error
    try:
        with Reader(path) as reader:
            images = {c.topic for c in reader.connections if c.msgtype in (RAW, COMPRESSED)}
    except ReaderError:
        return [BagSource(path, name, "")]
    missing = sorted(set(topics or []) - images)
    if missing:
        raise ValueError(
            f"{path}: no image topic {', '.join(missing)}: it has {', '.join(sorted(images))}"
        )
    return [BagSource(path, name + topic, topic) for topic in sorted(topics or images)]


def _stamp(message: Any) -> int:
    stamp = message.header.stamp
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


def _typestore() -> Any:
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS2_JAZZY)
