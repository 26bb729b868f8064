"""Clips from the image topics of bags: both kinds of storage, both kinds of message."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
from footage import contents, fpt_data, moving
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from fpt_ros.data.bags import bag_topics
from fpt_ros.data.clips import parse_clip
from fpt_ros.data.shards import read_samples

TYPES = get_typestore(Stores.ROS2_JAZZY)
CDR = TYPES.types
RATE = 30
SECOND = 10**9


def header(time):
    stamp = CDR["builtin_interfaces/msg/Time"](time // SECOND, time % SECOND)
    return CDR["std_msgs/msg/Header"](stamp, "camera")


def raw(time, frame, encoding):
    """A raw image in an encoding, with padded rows."""
    converted = {
        "rgb8": frame,
        "bgr8": frame[..., ::-1],
        "mono8": cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None],
        "bgra8": cv2.cvtColor(frame, cv2.COLOR_RGB2BGRA),
        "rgb16": frame.astype("<u2") * 257,
    }[encoding]
    rows = np.ascontiguousarray(converted).view(np.uint8).reshape(len(frame), -1)
    padded = np.pad(rows, ((0, 0), (0, 6)))
    height, width = frame.shape[:2]
    return CDR["sensor_msgs/msg/Image"](
        header(time), height, width, encoding, 0, padded.shape[1], padded.ravel()
    )


def compressed(time, frame):
    data = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 97])[1].ravel()
    return CDR["sensor_msgs/msg/CompressedImage"](header(time), "jpeg", data)


def write_bag(path, topics, storage=StoragePlugin.SQLITE3):
    """topics: by name, messages and when they were recorded."""
    path.parent.mkdir(exist_ok=True)
    with Writer(path, version=9, storage_plugin=storage) as writer:
        entries = []
        for topic, messages in topics.items():
            kind = messages[0][1].__msgtype__
            connection = writer.add_connection(topic, kind, typestore=TYPES)
            entries += [(time, connection, kind, message) for time, message in messages]
        for time, connection, kind, message in sorted(entries, key=lambda entry: entry[0]):
            writer.write(connection, time, TYPES.serialize_cdr(message, kind))
    return path


def times(count, rate=RATE, start=5 * SECOND):
    return [start + round(i * SECOND / rate) for i in range(count)]


def clips_of(folder):
    shards = sorted(folder.glob("*.tar"))
    return [parse_clip(s, tracked=False) for shard in shards for s in read_samples(shard)]


def psnr(one, other):
    return 10 * np.log10(255**2 / ((one.astype(float) - other) ** 2).mean())


@pytest.mark.parametrize("storage", [StoragePlugin.SQLITE3, StoragePlugin.MCAP])
def test_raw_and_compressed_topics(tmp_path, storage):
    frames = moving(30, size=64)
    bag = write_bag(
        tmp_path / "bag",
        {
            "/left": [(t, raw(t, f, "rgb8")) for t, f in zip(times(30), frames, strict=True)],
            "/right": [(t, compressed(t, f)) for t, f in zip(times(30), frames, strict=True)],
        },
        storage,
    )
    out = tmp_path / "out"
    done = fpt_data("shard", bag, "--out", out, "--size", 64, "--frames", 30)
    assert done.returncode == 0, done.stderr
    left, right = clips_of(out)
    assert (left.key, right.key) == ("bag_left-00000", "bag_right-00000")
    assert left.meta == {"source": "bag/left", "start": 5.0, "rate": 30.0}
    assert psnr(left.frames, frames) > 30 and psnr(right.frames, frames) > 30
    only = tmp_path / "only"
    arguments = ("--size", 64, "--frames", 30, "--topic", "/right")
    assert fpt_data("shard", bag, "--out", only, *arguments).returncode == 0
    assert [clip.key for clip in clips_of(only)] == ["bag_right-00000"]


@pytest.mark.parametrize("encoding", ["bgr8", "mono8", "bgra8", "rgb16"])
def test_encodings(tmp_path, encoding):
    frames = moving(3, size=64)
    messages = [(t, raw(t, f, encoding)) for t, f in zip(times(3), frames, strict=True)]
    [source] = bag_topics(write_bag(tmp_path / "bag", {"/image": messages}), "bag", None)
    found = list(source.frames([0, 1, 2]))
    wanted = frames
    if encoding == "mono8":
        grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
        wanted = np.stack([grey] * 3, axis=-1)
    np.testing.assert_allclose(np.stack(found), wanted, atol=1)


def test_frames_are_taken_by_their_stamps(tmp_path):
    """Two neighbours recorded the wrong way round, and a camera faster than the wanted rate."""
    frames = moving(60, 1.0, size=64)
    stamps = times(60)
    recorded = [t + SECOND // 10 for t in stamps]
    recorded[10], recorded[11] = recorded[11], recorded[10]
    messages = [(r, raw(t, f, "rgb8")) for r, t, f in zip(recorded, stamps, frames, strict=True)]
    bag = write_bag(tmp_path / "bag", {"/image": messages})
    [source] = bag_topics(bag, "bag", None)
    np.testing.assert_allclose(source.times(), np.array(stamps) / SECOND)
    np.testing.assert_array_equal(np.stack(list(source.frames([9, 10, 11, 12]))), frames[9:13])
    out = tmp_path / "out"
    fpt_data("shard", bag, "--out", out, "--size", 64, "--frames", 20, "--rate", 10)
    [clip] = clips_of(out)
    assert clip.meta["rate"] == 10 and psnr(clip.frames, frames[::3]) > 30


def test_stamps_that_are_zero_give_way_to_the_time_of_recording(tmp_path):
    frames = moving(3, size=32)
    messages = [(t, raw(0, f, "rgb8")) for t, f in zip(times(3), frames, strict=True)]
    [source] = bag_topics(write_bag(tmp_path / "bag", {"/image": messages}), "bag", None)
    np.testing.assert_allclose(source.times(), np.array(times(3)) / SECOND)


def test_an_image_that_cannot_be_read_costs_its_clip(tmp_path):
    frames = moving(40, size=64)
    messages = [(t, raw(t, f, "rgb8")) for t, f in zip(times(40), frames, strict=True)]
    messages[15][1].encoding = "colourful"
    bag = write_bag(tmp_path / "bag", {"/image": messages})
    out = tmp_path / "out"
    done = fpt_data("shard", bag, "--out", out, "--size", 64, "--frames", 10)
    assert done.returncode == 0
    assert "skipped clip bag_image-00001 of bag/image: encoding is 'colourful'" in done.stderr
    assert [clip.key[-1] for clip in clips_of(out)] == ["0", "2", "3"]


@pytest.mark.parametrize("storage", [StoragePlugin.SQLITE3, StoragePlugin.MCAP])
def test_a_damaged_bag_is_skipped(tmp_path, storage):
    messages = [(t, raw(t, f, "rgb8")) for t, f in zip(times(9), moving(9), strict=True)]
    bag = write_bag(tmp_path / "bag", {"/image": messages}, storage)
    [data] = [path for path in bag.iterdir() if path.suffix != ".yaml"]
    content = data.read_bytes()
    data.write_bytes(content[:5000] + bytes(20000) + content[25000 : len(content) // 2])
    done = fpt_data("shard", bag, "--out", tmp_path / "out", "--frames", 3, "--size", 64)
    assert done.returncode == 1
    assert "bag" in done.stderr and "Traceback" not in done.stderr
    assert not list((tmp_path / "out").glob("*.tar"))


def test_a_bag_that_was_not_closed_costs_only_itself(tmp_path):
    messages = [(t, raw(t, f, "rgb8")) for t, f in zip(times(3), moving(3), strict=True)]
    for name in ("whole", "cut"):
        write_bag(tmp_path / "bags" / name, {"/image": messages}, StoragePlugin.MCAP)
    data = tmp_path / "bags" / "cut" / "cut.mcap"
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    out = tmp_path / "out"
    done = fpt_data("shard", tmp_path / "bags", "--out", out, "--frames", 3, "--size", 64)
    assert done.returncode == 0, done.stderr
    assert "skipped bags/cut: cannot be read from the bag: File end magic" in done.stderr
    assert [clip.key for clip in clips_of(out)] == ["bags_whole_image-00000"]
    done = fpt_data("shard", data, "--out", out)
    assert done.returncode == 1 and "give the bag's folder" in done.stderr


def test_a_topic_that_is_not_there(tmp_path):
    messages = [(t, raw(t, f, "rgb8")) for t, f in zip(times(3), moving(3), strict=True)]
    bag = write_bag(tmp_path / "bag", {"/image": messages})
    done = fpt_data("shard", bag, "--out", tmp_path / "out", "--topic", "/camera")
    assert done.returncode == 1
    assert "no image topic /camera: it has /image" in done.stderr


def test_the_recording_of_this_repository(tmp_path):
    bag = "recordings/drawer/bag"
    done = fpt_data("shard", bag, "--out", tmp_path, "--size", 128, "--stride", 2, "--frames", 25)
    assert done.returncode == 0, done.stderr
    [clip] = clips_of(tmp_path)
    assert clip.frames.shape == (25, 128, 128, 3) and clip.meta["rate"] == 5
    assert "settings.json" in contents(tmp_path)


def test_without_ros(tmp_path):
    """The data side needs rosbags, not ROS: importing ROS fails here."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['rclpy', 'sensor_msgs', 'std_msgs']));"
        "from fpt_ros.data.__main__ import main; main()"
    )
    arguments = ["shard", "recordings/drawer/bag", "--out", tmp_path, "--size", 64]
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(clips_of(tmp_path)) == 1
