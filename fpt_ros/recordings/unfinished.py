# SPDX-License-Identifier: Apache-2.0
"""A bag that is being written, in a folder of its own beside where it will be.

A run that was killed leaves its messages in `OUT.unfinished/NUMBER/OUT/OUT.mcap`. The next run
writes them again to a new bag and goes on there, so that the finished bag is the same to the byte
as one that was written at once.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import Reader, StoragePlugin, Writer

from fpt_ros.data.claiming import claimed
from fpt_ros.recordings.message_types import message_types
from fpt_ros.recordings.outputs import LAST
from fpt_ros.recordings.reading import Message, open_bag

SETTINGS = "fpt_bag"
"""Under this name the settings of a run lie in its bag's metadata.yaml."""


class BagWriter:
    """Appends messages of any topics to a new bag."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._connections: dict[str, Any] = {}
        self.empty = True

    def write(self, messages: list[Message]) -> None:
        for message in messages:
            self.empty = False
            if message.topic not in self._connections:
                self._connections[message.topic] = self._writer.add_connection(
                    message.topic, message.kind, typestore=message_types()
                )
            connection = self._connections[message.topic]
            self._writer.write(connection, message.time, message.data)


@contextmanager
def unfinished_bag(
    out: Path, settings: dict[str, Any]
) -> Iterator[tuple[BagWriter, Iterator[list[Message]]]]:
    """A bag that becomes `out` at the end, and what a run before wrote, image by image.

    What was written must be written again, in the same order.

    Raises:
        SettingsError: the run before had other settings, or still goes on.
    """
    folder = out.with_name(f"{out.name}.unfinished")
    with claimed(folder, settings):
        numbers = sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())
        # A later one was killed before it had all of the first.
        for number in numbers[1:]:
            shutil.rmtree(folder / str(number))
        before = folder / str(numbers[0]) if numbers else None
        place = folder / str(numbers[0] + 1 if numbers else 0)
        place.mkdir()
        writer = Writer(place / out.name, version=9, storage_plugin=StoragePlugin.MCAP)
        writer.set_custom_data(SETTINGS, json.dumps(settings, sort_keys=True))
        appending = BagWriter(writer)
        try:
            with writer:
                yield appending, _written(before, out.name)
        except Exception:
            if appending.empty and before is None:
                shutil.rmtree(folder)  # nothing to go on with, so other settings may be tried
            raise
        (place / out.name).replace(out)
    shutil.rmtree(folder)


def _written(before: Path | None, name: str) -> Iterator[list[Message]]:
    """The messages of each image that were all written. At the end the old bag is deleted."""
    if before is None:
        return
    try:
        bag = open_bag(before / name)
    except (OSError, ValueError):
        bag = None  # killed before the first image was written
    some: list[Message] = []
    for message in bag.messages(lambda topic, kind: True) if bag else ():
        some.append(message)
        if message.topic.endswith(LAST):
            yield some
            some = []
    shutil.rmtree(before)


def finished_settings(out: Path) -> dict[str, Any] | None:
    """Of the run that wrote a bag; None where no run did."""
    try:
        with Reader(out) as reader:
            custom = reader.storage.metadata.custom or {}
        found = json.loads(custom[SETTINGS])
    except Exception:  # no bag, or a foreign one
        return None
    return found if isinstance(found, dict) else None
