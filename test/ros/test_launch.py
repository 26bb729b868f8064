"""The launch file, run as a person runs it. ros2 and launch_ros come with an installed ROS only."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ros_harness import Planner, image_message, scene

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("launch_ros") is None or shutil.which("ros2") is None,
    reason="launch_ros and the ros2 command are not installed (there are no wheels of them)",
)
LAUNCH = ["ros2", "launch", "fpt_ros", "fpt.launch.py"]


@contextmanager
def launched(log: Path, **arguments: object) -> Iterator[subprocess.Popen]:
    given = [f"{name}:={value}" for name, value in arguments.items()]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*LAUNCH, *given], stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGINT)  # Ctrl-C: to launch and the node at once
        try:
            status = process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        print(log.read_text())
    assert status == 0
    assert "process has finished cleanly" in log.read_text()


@contextmanager
def planner_in(namespace: str) -> Iterator[Planner]:
    planner = Planner(namespace)
    try:
        yield planner
    finally:
        planner.close()


def test_arguments_are_shown_with_their_meaning():
    shown = subprocess.run([*LAUNCH, "--show-args"], capture_output=True, text=True, check=True)
    for argument in (
        *("params_file", "namespace", "image", "image_transport", "checkpoint", "device"),
        *("autostart", "rviz", "use_sim_time", "log_level"),
    ):
        assert f"'{argument}':" in shown.stdout
    assert "(no description given)" not in shown.stdout


@pytest.mark.parametrize("transport", ["raw", "compressed"])
def test_node_starts_active_and_reads_the_image_topic_given(
    transport: str, tiny_checkpoint: Path, tmp_path: Path
):
    namespace = f"launched_{transport}"
    arguments = {
        "namespace": namespace,
        "image": "camera/image_raw",
        "image_transport": transport,
        "checkpoint": tiny_checkpoint,
        "device": "cpu",
    }
    with launched(tmp_path / "log", **arguments), planner_in(namespace) as planner:
        planner.wait_for(lambda: planner.state() == "active", 60, "the active state")
        assert planner.get_parameter("checkpoint") == str(tiny_checkpoint)
        assert planner.get_parameter("image_transport") == transport
        assert planner.get_parameter("grid") == [32, 24]  # from the parameters file
        send_until_kept(planner, transport)
        answer = planner.predict((10, 10, 5, 0), x=[1], y=[2])
        assert answer.error_code == 0, answer.error_msg


def send_until_kept(planner: Planner, transport: str) -> None:
    message, topic = image_message(scene(), planner.next_stamp()), "camera/image_raw"
    if transport == "compressed":
        message, topic = jpeg(message), "camera/image_raw/compressed"
    while planner.predict(x=[1], y=[1]).error_code == 2:
        planner.publish(topic, message)
        time.sleep(0.1)


def jpeg(message: object) -> object:
    import cv2
    from sensor_msgs.msg import CompressedImage

    data = cv2.imencode(".jpg", scene())[1].tobytes()
    return CompressedImage(header=message.header, format="jpeg", data=data)


def test_without_autostart_the_node_waits_for_its_manager(tiny_checkpoint: Path, tmp_path: Path):
    arguments = {"namespace": "managed", "checkpoint": tiny_checkpoint, "autostart": "false"}
    with launched(tmp_path / "log", **arguments), planner_in("managed") as planner:
        assert planner.state() == "unconfigured"
        assert planner.change_state("configure")
        assert planner.change_state("activate")
        assert planner.state() == "active"


def test_two_cameras_run_side_by_side(tiny_checkpoint: Path, tmp_path: Path):
    with (
        launched(tmp_path / "left.log", namespace="left", checkpoint=tiny_checkpoint),
        launched(tmp_path / "right.log", namespace="right", checkpoint=tiny_checkpoint),
        planner_in("left") as left,
        planner_in("right") as right,
    ):
        for planner in (left, right):
            planner.wait_for(lambda p=planner: p.state() == "active", 90, "the active state")
        left.kept_image()
        assert left.predict(x=[1], y=[1]).error_code == 0
        assert right.predict(x=[1], y=[1]).error_code == 2  # no image on that side
