# SPDX-License-Identifier: Apache-2.0
"""Clips from the image topics of bags: both kinds of storage, both kinds of message."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from footage import contents, fpt_data, moving, number, numbered
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from fpt_ros.data.bags import bag_topics
from fpt_ros.data.clips import parse_clip
from fpt_ros.data.shards import read_samples

TYPES = get_typestore(Stores.ROS2_JAZZY)
CDR = TYPES.types
FIXTURES = Path(__file__).parent / "fixtures"
CLIPS_OF_20 = ("--size", 64, "--frames", 20)
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


def test_stamps_measure_the_time(tmp_path):
    """Recorded unevenly by a camera that is faster than the wanted rate."""
    frames = moving(60, 1.0, size=64)
    stamps = times(60)
    recorded = [t + SECOND // 10 + (i % 3) * SECOND // 200 for i, t in enumerate(stamps)]
    messages = [(r, raw(t, f, "rgb8")) for r, t, f in zip(recorded, stamps, frames, strict=True)]
    bag = write_bag(tmp_path / "bag", {"/image": messages})
    [source] = bag_topics(bag, "bag", None)
    np.testing.assert_allclose(source.times(), np.array(stamps) / SECOND)
    np.testing.assert_array_equal(np.stack(list(source.frames([9, 10, 11, 12]))), frames[9:13])
    out = tmp_path / "out"
    fpt_data("shard", bag, "--out", out, "--size", 64, "--frames", 20, "--rate", 10)
    [clip] = clips_of(out)
    assert clip.meta["rate"] == 10 and psnr(clip.frames, frames[::3]) > 30


@pytest.mark.parametrize("back", [0.02, 0.95, 3600.0])
@pytest.mark.parametrize("storage", [StoragePlugin.SQLITE3, StoragePlugin.MCAP])
def test_a_clock_that_goes_back_begins_a_new_stretch(tmp_path, back, storage):
    """The order of arrival counts, and no clip goes across."""
    frames = numbered(60, size=64)
    messages = [
        (t, raw(t - round(back * SECOND) * (i >= 30), f, "rgb8"))
        for i, (t, f) in enumerate(zip(times(60, start=4000 * SECOND), frames, strict=True))
    ]
    bag = write_bag(tmp_path / "bag", {"/image": messages}, storage)
    out = tmp_path / "out"
    done = fpt_data("shard", bag, "--out", out, "--size", 64, "--frames", 20)
    found = [[number(frame) for frame in clip.frames] for clip in clips_of(out)]
    # A step of less than an interval is none: stamps still rise.
    second = 20 if back < 1 / RATE else 30
    assert found == [list(range(20)), list(range(second, second + 20))] + [list(range(40, 60))] * (
        back < 1 / RATE
    )
    said = f"its clock goes back by {back - 1 / RATE:.3f} s" in done.stderr
    assert said == (back > 1 / RATE), done.stderr


def test_what_came_in(tmp_path):
    done = fpt_data("shard", FIXTURES / "clock_back", "--out", tmp_path, *CLIPS_OF_20)
    assert "note: clock_back/image: its clock goes back by 0.950 s" in done.stderr
    found = [[number(frame) for frame in clip.frames] for clip in clips_of(tmp_path)]
    assert found == [list(range(20)), list(range(30, 50))]


def test_depth_is_left_out_and_said_once(tmp_path):
    done = fpt_data("shard", FIXTURES / "depth_beside_colour", "--out", tmp_path, *CLIPS_OF_20)
    topics = [clip.meta["source"] for clip in clips_of(tmp_path)]
    assert topics == ["depth_beside_colour/camera/color/image_raw/compressed"] * 2
    lines = [line for line in done.stderr.splitlines() if line.startswith("skipped")]
    assert len(lines) == 2 and all("is left out: " in line and "depth" in line for line in lines)


def mono16(time, samples, encoding):
    height, width = samples.shape
    data = samples.astype("<u2").view(np.uint8).ravel()
    image = CDR["sensor_msgs/msg/Image"]
    return image(header(time), height, width, encoding, 0, 2 * width, data)


def test_a_thermal_camera(tmp_path):
    """16UC1 is a picture where a range is given."""
    frames = numbered(20, size=64)[..., 0]
    messages = [
        (t, mono16(t, 7000 + 2 * f.astype(np.uint16), "16UC1"))
        for t, f in zip(times(20), frames, strict=True)
    ]
    bag = write_bag(tmp_path / "bag", {"/thermal": messages})
    plain, ranged = tmp_path / "plain", tmp_path / "ranged"
    done = fpt_data("shard", bag, "--out", plain, *CLIPS_OF_20)
    assert done.returncode == 1 and "depth in millimetres" in done.stderr
    fpt_data("shard", bag, "--out", ranged, *CLIPS_OF_20, "--sample-range", 7000, 7510)
    [clip] = clips_of(ranged)
    assert psnr(clip.frames, np.repeat(frames[..., None], 3, -1)) > 28
    done = fpt_data("shard", bag, "--out", ranged, *CLIPS_OF_20)
    assert "sample_range was [7000, 7510] and is null" in done.stderr
    done = fpt_data("shard", bag, "--out", plain, "--sample-range", 9, 9)
    assert "sample-range is 9 9: must be 0 to 65535, the first lower" in done.stderr


def test_pictures_that_the_node_has_drawn_on(tmp_path):
    frames = moving(20, size=64)
    messages = [(t, raw(t, f, "rgb8")) for t, f in zip(times(20), frames, strict=True)]
    topics = ["/image", "/overlay", "/arm/overlay/compressed", "/overlay_camera"]
    bag = write_bag(tmp_path / "bag", dict.fromkeys(topics, messages))
    done = fpt_data("shard", bag, "--out", tmp_path / "out", *CLIPS_OF_20)
    sources = [clip.meta["source"] for clip in clips_of(tmp_path / "out")]
    assert sources == ["bag/image", "bag/overlay_camera"]
    assert done.stderr.count("is left out: an overlay") == 2
    fpt_data("shard", bag, "--out", tmp_path / "asked", *CLIPS_OF_20, "--topic", "/overlay")
    assert [clip.meta["source"] for clip in clips_of(tmp_path / "asked")] == ["bag/overlay"]


def test_a_mosaic_that_was_compressed_is_in_colour(tmp_path):
    colours = moving(20, size=64)
    messages = []
    for t, f in zip(times(20), colours, strict=True):
        mosaic = f[..., 1].copy()
        mosaic[::2, ::2], mosaic[1::2, 1::2] = f[::2, ::2, 0], f[1::2, 1::2, 2]
        data = cv2.imencode(".png", mosaic)[1].ravel()
        image = CDR["sensor_msgs/msg/CompressedImage"]
        messages.append((t, image(header(t), "bayer_rggb8; png compressed ", data)))
    bag = write_bag(tmp_path / "bag", {"/image/compressed": messages})
    fpt_data("shard", bag, "--out", tmp_path / "out", *CLIPS_OF_20)
    [clip] = clips_of(tmp_path / "out")
    assert psnr(clip.frames, colours) > 20
    grey = np.repeat(colours.mean(-1, keepdims=True), 3, -1)
    assert psnr(clip.frames, grey) < psnr(clip.frames, colours) - 3


def test_what_is_no_picture_costs_one_line(tmp_path):
    """Video in packets, as some drivers publish it under the type of a compressed image."""
    image = CDR["sensor_msgs/msg/CompressedImage"]
    packet = np.frombuffer(b"\0\0\0\1\x67" + bytes(50), np.uint8)
    messages = [(t, image(header(t), "h264", packet)) for t in times(60)]
    bag = write_bag(tmp_path / "bag", {"/video": messages})
    done = fpt_data("shard", bag, "--out", tmp_path / "out", *CLIPS_OF_20)
    assert done.returncode == 1
    assert done.stderr.count("skipped") == 1
    assert "has no picture that can be read: data (55 bytes, format 'h264') is" in done.stderr


def test_one_bag_of_many_lacks_the_topic(tmp_path):
    arguments = (*CLIPS_OF_20, "--topic", "/image")
    done = fpt_data("shard", FIXTURES / "one_without_topic", "--out", tmp_path, *arguments)
    assert done.returncode == 0
    assert [clip.key for clip in clips_of(tmp_path)] == ["one_without_topic_a_image-00000"]
    assert "skipped one_without_topic/b: no image topic /image: it has none" in done.stderr


def test_a_folder_as_it_comes(tmp_path):
    """A link to a folder, which leads back, too; what macOS noted; bags that were cut off."""
    messages = [(t, raw(t, f, "rgb8")) for t, f in zip(times(3), moving(3), strict=True)]
    (tmp_path / "disk").mkdir()
    there = write_bag(tmp_path / "disk" / "run" / "bag", {"/image": messages}, StoragePlugin.MCAP)
    (tmp_path / "disk" / "run" / "again").symlink_to(tmp_path / "disk")
    folder = tmp_path / "robot"
    folder.mkdir()
    (folder / "linked").symlink_to(tmp_path / "disk")
    (folder / "._video.MP4").write_bytes(b"Mac OS X")
    (folder / "unfinished").mkdir()
    content = (there / "bag.mcap").read_bytes()
    (folder / "unfinished" / "unfinished.mcap").write_bytes(content[: len(content) // 2])
    (folder / "gone.mp4").symlink_to(tmp_path / "nowhere")
    done = fpt_data("shard", folder, "--out", tmp_path / "out", "--size", 64, "--frames", 3)
    assert [clip.key for clip in clips_of(tmp_path / "out")] == ["robot_linked_run_bag_image-00000"]
    lines = sorted(line for line in done.stderr.splitlines() if line.startswith("skipped"))
    assert [line.split(": ")[0] for line in lines] == [
        "skipped robot/._video.MP4",
        "skipped robot/gone.mp4",
        "skipped robot/unfinished/unfinished.mcap",
    ]
    assert "bag without metadata.yaml" in lines[2] and "Traceback" not in done.stderr


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
