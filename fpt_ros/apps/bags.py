# SPDX-License-Identifier: Apache-2.0
"""ROS 2 bags, written and read with `rosbags`: no rosbag2 is needed."""

from __future__ import annotations

from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from rclpy.serialization import deserialize_message, serialize_message
from rosbags.rosbag2 import Reader, StoragePlugin, Writer

from fpt_ros.recordings.message_types import message_types

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def write_bag(path: Path) -> Iterator[Callable[[str, Any, int], None]]:
    """Give a function `(topic, message, time in ns)` that appends ROS messages to a new bag.

    Raises:
        rosbags.rosbag2.WriterError: the path exists already.
    """
    types = message_types()
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections: dict[str, Any] = {}

        def write(topic: str, message: Any, time_ns: int) -> None:
            if topic not in connections:
                connections[topic] = writer.add_connection(
                    topic, _type_name(type(message)), typestore=types
                )
            writer.write(connections[topic], time_ns, serialize_message(message))

        yield write


def read_bag(path: Path) -> Iterator[tuple[str, Any, int]]:
    """All messages of a bag in order: topic, ROS message, time in ns.

    Raises:
        rosbags.rosbag2.ReaderError: no bag there, or a damaged one.
    """
    with Reader(path) as reader:
        for connection, time_ns, data in reader.messages():
            package, kind, name = connection.msgtype.split("/")
            message_type = getattr(import_module(f"{package}.{kind}"), name)
            yield connection.topic, deserialize_message(bytes(data), message_type), time_ns


def _type_name(message_type: type) -> str:
    package, kind, *_ = message_type.__module__.split(".")
    return f"{package}/{kind}/{message_type.__name__}"
