# SPDX-License-Identifier: Apache-2.0
"""The demo as a user runs it: the real node as a process, over DDS; pictures and a bag left."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from fpt_ros.apps.bags import read_bag
from fpt_ros.apps.demo import choose_scene, fresh_folder


def demo(out: Path, *arguments: str, domain: int = 71) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "fpt_ros.apps.demo", "--out", str(out), *arguments],
        capture_output=True,
        text=True,
        timeout=180,
        env=os.environ | {"ROS_DOMAIN_ID": str(domain)},
        check=False,
    )


@pytest.fixture
def photo(tmp_path) -> Path:
    path = tmp_path / "my photo.jpg"
    blocks = np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8)
    cv2.imwrite(str(path), cv2.resize(blocks, (320, 240), interpolation=cv2.INTER_NEAREST))
    return path


def test_the_recording_with_the_embedded_weights(tmp_path):
    result = demo(tmp_path / "demo")
    assert result.returncode == 0, result.stderr
    assert "push the drawer" in result.stdout
    assert str(tmp_path / "demo") in result.stdout
    pushes = result.stdout.count("poke at (")
    assert pushes == 4
    for kind in ("overlay", "flow"):
        pictures = sorted((tmp_path / "demo").glob(f"*.{kind}.png"))
        assert len(pictures) == pushes
        for picture in pictures:
            image = cv2.imread(str(picture))
            assert image.shape == (480, 640, 3)
            assert image.std() > 10
    with AnyReader([tmp_path / "demo" / "answers"]) as bag:  # readable without ROS
        motions = [
            bag.deserialize(data, connection.msgtype)
            for connection, _, data in bag.messages()
            if connection.topic == "/fpt_demo/motion"
        ]
    assert len(motions) == pushes
    assert all(motion.header.stamp.sec > 0 and len(motion.means) for motion in motions)


def test_a_picture_of_ones_own(tmp_path, photo, tiny_checkpoint):
    out = tmp_path / "demo"
    arguments = ("--image", str(photo), "--checkpoint", str(tiny_checkpoint))
    result = demo(out, *arguments, "--poke", "100,120,20,-10")
    assert result.returncode == 0, result.stderr
    assert "poke at (100, 120), push up right (+20, -10) px" in result.stdout
    motion = next(m for topic, m, _ in read_bag(out / "answers") if topic.endswith("/motion"))
    assert (motion.image_width, motion.image_height) == (320, 240)
    assert (motion.pokes[0].x, motion.pokes[0].dy) == (100.0, -10.0)
    assert len(motion.x) == result.stdout.count(" %\n")  # a line for each point

    again = demo(out, *arguments)  # replaces what the last demo left; the poke is in the middle
    assert again.returncode == 0, again.stderr
    assert "poke at (160, 120), push right (+24, +0) px" in again.stdout


@pytest.mark.parametrize(
    ("image", "poke", "message"),
    [
        ("nowhere.jpg", None, "nowhere.jpg is not a picture"),
        (None, "1,2,3,4", "needs a picture of your own"),
        ("PHOTO", "1,2,3", "has 3 numbers, must have 4"),
        ("PHOTO", "a,b,c,d", "must be four numbers"),
        ("PHOTO", "400,10,5,5", r"pokes\[0\].x is 400.0: must lie in"),
        ("PHOTO", "10,10,nan,5", r"pokes\[0\].dx is nan"),
    ],
)
def test_what_cannot_be_shown_is_named(photo, image, poke, message):
    path = photo if image == "PHOTO" else image and Path(image)
    with pytest.raises(ValueError, match=message):
        choose_scene(argparse.Namespace(image=path, poke=poke))


def test_a_node_that_cannot_start_ends_the_demo_with_its_reason(tmp_path, photo):
    result = demo(tmp_path / "demo", "--image", str(photo), "--checkpoint", "nowhere.pt")
    assert result.returncode == 1
    assert "'nowhere.pt' is not a file" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_folder_that_is_not_a_demo_s_is_left_alone(tmp_path):
    (tmp_path / "precious.txt").write_text("keep me")
    with pytest.raises(ValueError, match="was not left by a demo"):
        fresh_folder(tmp_path)
    assert (tmp_path / "precious.txt").read_text() == "keep me"


def test_a_bag_keeps_what_was_written(tmp_path):
    from fpt_ros.msg import Poke, PokeArray
    from std_msgs.msg import Header

    from fpt_ros.apps.bags import write_bag

    message = PokeArray(header=Header(frame_id="camera"), pokes=[Poke(x=1.0, dy=-2.0)])
    with write_bag(tmp_path / "bag") as write:
        write("/pokes", message, 123)
    assert list(read_bag(tmp_path / "bag")) == [("/pokes", message, 123)]
    with AnyReader([tmp_path / "bag"], default_typestore=get_typestore(Stores.EMPTY)) as bag:
        connection, _, data = next(bag.messages())
        assert bag.deserialize(data, connection.msgtype).pokes[0].x == 1.0
