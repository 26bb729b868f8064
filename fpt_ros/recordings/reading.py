# SPDX-License-Identifier: Apache-2.0
"""Messages of a ROS 2 bag in its order, of a damaged or unfinished one as far as they go."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rosbags.rosbag2 import Reader

from fpt_ros.recordings.salvaging import DamagedError, salvage

SUFFIXES = (".mcap", ".db3")


@dataclass(frozen=True)
class Message:
    """A message as it was recorded. time: of recording, ns. data: in CDR."""

    topic: str
    kind: str
    time: int
    data: bytes


@dataclass
class Bag:
    """A bag's folder, or one of its files.

    counts: messages by topic and type. damage: what is wrong with it; known once it was read to
    its end.
    """

    path: Path
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)
    _salvaged: bool = False

    def messages(self, wanted: Callable[[str, str], bool]) -> Iterator[Message]:
        """Those whose topic and type are wanted, in the order of the bag."""
        self.damage.clear()
        yield from (self._salvage if self._salvaged else self._read)(wanted)

    def _read(self, wanted: Callable[[str, str], bool]) -> Iterator[Message]:
        with Reader(self.path) as reader:
            some = [c for c in reader.connections if wanted(c.topic, c.msgtype)]
            if not some:
                return  # to the reader an empty list means all
            try:
                for connection, time, data in reader.messages(some):
                    yield Message(connection.topic, connection.msgtype, time, bytes(data))
            except GeneratorExit:
                raise
            except Exception as error:  # damaged bags raise whatever the reader stumbles over
                self.damage.append(f"{self.path} is damaged, the rest is lost: {error}")

    def _salvage(self, wanted: Callable[[str, str], bool]) -> Iterator[Message]:
        for file in storage_files(self.path):
            try:
                for topic, kind, time, data in salvage(file):
                    if wanted(topic, kind):
                        yield Message(topic, kind, time, data)
            except DamagedError as error:
                self.damage.append(f"{file} {error}")


def open_bag(path: Path) -> Bag:
    """A bag that is whole, or what is left of one.

    Raises:
        FileNotFoundError: there is nothing, or no file of a bag.
        ValueError: nothing in it can be read.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    if not storage_files(path) and not (path / "metadata.yaml").exists():
        raise FileNotFoundError(f"{path}: no bag there: a folder with .mcap or .db3 files is one")
    bag = Bag(path)
    try:
        with Reader(path) as reader:
            for connection in reader.connections:
                key = connection.topic, connection.msgtype
                bag.counts[key] = bag.counts.get(key, 0) + connection.msgcount
    except Exception as error:  # as above
        bag._salvaged = True
        bag.counts.clear()
        for message in bag.messages(lambda topic, kind: True):
            key = message.topic, message.kind
            bag.counts[key] = bag.counts.get(key, 0) + 1
        if not bag.counts:
            raise ValueError(f"{path}: cannot be read: {error}") from error
    return bag


def storage_files(path: Path) -> list[Path]:
    """The files that hold a bag's messages, in the order of their numbers."""
    if path.is_file():
        return [path]
    found = [file for file in path.iterdir() if file.suffix in SUFFIXES and file.name[0] != "."]
    return sorted(found, key=_numbers)


def _numbers(file: Path) -> list[tuple[int, str]]:
    """So that bag_10.mcap comes after bag_9.mcap."""
    return [(int(part or 0), text) for text, part in re.findall(r"(\D*)(\d*)", file.stem)]
