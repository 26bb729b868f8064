# SPDX-License-Identifier: Apache-2.0
"""Small bags whose motion is known, and the command under test."""

import sys

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from fpt_ros.recordings.__main__ import main
from fpt_ros.recordings.message_types import message_types

TYPES = get_typestore(Stores.ROS2_JAZZY)
SECOND = 10**9
RATE = 10
HEIGHT, WIDTH = 72, 96
# As if ROS were not installed.
WITHOUT_ROS = (
    "import sys; sys.modules.update(dict.fromkeys(['rclpy', 'sensor_msgs', 'std_msgs']));"
    "from fpt_ros.recordings.__main__ import main; main()"
)


def picture(seed=0, height=HEIGHT, width=WIDTH):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def sliding(count, speed=1.0):
    """A square of 32 pixels over a still background, to the right by `speed` pixels an image."""
    back, square = picture(1), picture(2, 32, 32)
    found = []
    for number in range(count):
        frame = back.copy()
        where = np.float32([[1, 0, 10 + speed * number], [0, 1, 20]])
        cv2.warpAffine(square, where, (WIDTH, HEIGHT), frame, borderMode=cv2.BORDER_TRANSPARENT)
        found.append(frame)
    return found


def image(frame, time, compressed=False):
    stamp = TYPES.types["builtin_interfaces/msg/Time"](time // SECOND, time % SECOND)
    header = TYPES.types["std_msgs/msg/Header"](stamp, "camera")
    if compressed:
        data = cv2.imencode(".png", frame[..., ::-1])[1].ravel()
        return TYPES.types["sensor_msgs/msg/CompressedImage"](header, "png", data)
    height, width = frame.shape[:2]
    kind = TYPES.types["sensor_msgs/msg/Image"]
    return kind(header, height, width, "rgb8", 0, 3 * width, frame.ravel())


def write(path, topics, storage=StoragePlugin.MCAP):
    """topics: name to frames; a name that ends in /compressed makes them so. Images are recorded
    5 ms after their stamp."""
    with Writer(path, version=9, storage_plugin=storage) as writer:
        entries = []
        for topic, frames in topics.items():
            for number, frame in enumerate(frames):
                time = SECOND + number * SECOND // RATE
                message = image(frame, time, topic.endswith("/compressed"))
                entries.append((time + 5 * 10**6, topic, message))
        connections = {}
        for time, topic, message in sorted(entries, key=lambda entry: entry[:2]):
            if topic not in connections:
                kind = message.__msgtype__
                connections[topic] = writer.add_connection(topic, kind, typestore=TYPES)
            data = TYPES.serialize_cdr(message, message.__msgtype__)
            writer.write(connections[topic], time, data)
    return path


def read(path):
    """Messages by topic, each with its time of recording."""
    found = {}
    with Reader(path) as reader:
        for connection, time, data in reader.messages():
            message = message_types().deserialize_cdr(data, connection.msgtype)
            found.setdefault(connection.topic, []).append((time, message))
    return found


def pokes_file(folder, *entries):
    path = folder / "pokes.yaml"
    path.write_text("pokes:\n" + "".join(f"  - {entry}\n" for entry in entries))
    return path


def fpt_bag(capsys, monkeypatch, *arguments):
    """Exit status and standard error of the command."""
    monkeypatch.setattr(sys, "argv", ["fpt-bag", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    code = ended.value.code
    return (code, said.out + said.err) if isinstance(code, int) else (1, str(code))


def stamp(message):
    return message.header.stamp.sec * SECOND + message.header.stamp.nanosec
