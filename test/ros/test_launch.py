# SPDX-License-Identifier: Apache-2.0
"""The launch file, run as a person runs it. ros2 and launch_ros come with an installed ROS only."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import rclpy
from ament_index_python.packages import get_packages_with_prefixes
from rclpy.context import Context
from ros_harness import Planner, image_message, scene
from sensor_msgs.msg import Image

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("launch_ros") is None or shutil.which("ros2") is None,
    reason="launch_ros and the ros2 command are not installed (there are no wheels of them)",
)
LAUNCH = ["ros2", "launch", "fpt_ros", "fpt.launch.py"]


# A launch file of a robot that sets parameters and remaps for all its nodes.
ROBOT = """
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch_ros.actions import SetParameter, SetRemap
from launch_ros.substitutions import FindPackageShare

def generate_launch_description():
    fpt = IncludeLaunchDescription([FindPackageShare("fpt_ros"), "/launch/fpt.launch.py"])
    return LaunchDescription([*SETTINGS, fpt])
"""


@contextmanager
def launched(
    log: Path, command: list[str] = LAUNCH, **arguments: object
) -> Iterator[subprocess.Popen]:
    given = [f"{name}:={value}" for name, value in arguments.items()]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, *given], stdout=output, stderr=subprocess.STDOUT, start_new_session=True
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


@contextmanager
def cameras(*topics: str) -> Iterator[None]:
    """Publishers of images, in a context of their own."""
    context = Context()
    rclpy.init(context=context)
    node = rclpy.create_node("cameras", context=context)
    for topic in topics:
        node.create_publisher(Image, topic, 1)
    try:
        yield
    finally:
        context.try_shutdown()


def test_arguments_are_shown_with_their_meaning():
    shown = subprocess.run([*LAUNCH, "--show-args"], capture_output=True, text=True, check=True)
    for argument in (
        *("params_file", "namespace", "image", "image_transport", "checkpoint", "device"),
        *("autostart", "rviz", "poke", "use_sim_time", "log_level", "respawn"),
    ):
        assert f"'{argument}':" in shown.stdout
    assert "(no description given)" not in shown.stdout


@pytest.mark.parametrize("transport", ["raw", "compressed"])
def test_node_starts_active_and_reads_the_image_topic_given(
    transport: str, tiny_checkpoint: Path, tmp_path: Path
):
    namespace = f"launched_{transport}"
    depth_transport = {"raw": "raw", "compressed": "compressedDepth"}[transport]
    arguments = {
        "namespace": namespace,
        "image": "camera/image_raw",
        "depth": "camera/depth",
        "image_transport": transport,
        "depth_image_transport": depth_transport,
        "checkpoint": tiny_checkpoint,
        "device": "cpu",
    }
    with launched(tmp_path / "log", **arguments), planner_in(namespace) as planner:
        planner.wait_for(lambda: planner.state() == "active", 60, "the active state")
        assert planner.get_parameter("checkpoint") == str(tiny_checkpoint)
        assert planner.get_parameter("image_transport") == transport
        assert planner.get_parameter("grid") == [32, 24]  # from the parameters file
        send_until_kept(planner, transport)
        depth = {"raw": "depth", "compressed": "depth/compressedDepth"}[transport]
        assert planner.node.count_subscribers(f"/{namespace}/camera/{depth}") == 1
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


def test_what_is_not_given_changes_nothing_of_the_parameters_file(
    tiny_checkpoint: Path, tmp_path: Path
):
    parameters = f"autostart: false, use_sim_time: true, checkpoint: {tiny_checkpoint}"
    file = tmp_path / "robot.yaml"
    file.write_text(f"/**: {{ros__parameters: {{{parameters}}}}}")
    given = {"namespace": "filed", "image": "image", "params_file": file}
    with launched(tmp_path / "log", **given), planner_in("filed") as planner:
        planner.wait_for(lambda: planner.state() == "unconfigured", 30, "the node")
        time.sleep(1)
        assert planner.state() == "unconfigured"
        assert planner.get_parameter("use_sim_time") is True
    given |= {"autostart": "True", "use_sim_time": "False"}
    with launched(tmp_path / "log", **given), planner_in("filed") as planner:
        planner.wait_for(lambda: planner.state() == "active", 60, "the active state")
        assert planner.get_parameter("use_sim_time") is False


def test_what_is_not_given_changes_nothing_that_a_robot_sets_for_all(
    tiny_checkpoint: Path, tmp_path: Path
):
    settings = """SetParameter("autostart", False), SetParameter("use_sim_time", True),
        SetParameter("device", "cpu"), SetRemap("image", "/the/camera")"""
    robot = tmp_path / "robot.launch.py"
    robot.write_text(ROBOT.replace("*SETTINGS", settings))
    given = {"namespace": "set", "checkpoint": tiny_checkpoint}
    launch = launched(tmp_path / "log", ["ros2", "launch", str(robot)], **given)
    with launch, planner_in("set") as planner:
        planner.wait_for(lambda: planner.state() == "unconfigured", 30, "the node")
        assert planner.get_parameter("use_sim_time") is True
        assert planner.get_parameter("device") == "cpu"
        assert planner.change_state("configure") and planner.change_state("activate")
    assert "waiting for images on /the/camera" in (tmp_path / "log").read_text()


def test_fpt_poke_runs_beside_the_node_where_asked_for(tiny_checkpoint: Path, tmp_path: Path):
    file = tmp_path / "robot.yaml"
    file.write_text("/**: {ros__parameters: {image_transport: compressed}}")
    given = {"namespace": "poked", "image": "camera/image_raw", "checkpoint": tiny_checkpoint}
    started = launched(tmp_path / "log", **given, params_file=file, poke=True)
    with started, planner_in("poked") as planner:
        planner.wait_for(lambda: planner.state() == "active", 60, "the active state")
        name = ("fpt_poke", "/poked")
        planner.wait_for(lambda: name in planner.node.get_node_names_and_namespaces())
    waits = "fpt_poke]: waiting for an image on /poked/camera/image_raw/compressed"
    assert waits in (tmp_path / "log").read_text()


def test_the_one_camera_is_found(tiny_checkpoint: Path, tmp_path: Path):
    given = {"namespace": "alone", "checkpoint": tiny_checkpoint}
    with (
        cameras("/alone/wrist/image_raw"),
        launched(tmp_path / "log", **given),
        planner_in("alone") as planner,
    ):
        planner.wait_for(lambda: planner.state() == "active", 60, "the active state")
    log = (tmp_path / "log").read_text()
    assert "images from /alone/wrist/image_raw, the one camera found" in log
    assert "waiting for images on /alone/wrist/image_raw" in log


def test_of_several_cameras_one_must_be_given(tmp_path: Path):
    with cameras("/stereo/left/image_raw", "/stereo/right/image_raw"):
        ended = failed_launch(namespace="stereo")
    assert "/stereo/left/image_raw, /stereo/right/image_raw" in ended
    assert "image:=TOPIC" in ended


@pytest.mark.skipif(
    any("rviz2" in path for path in get_packages_with_prefixes()), reason="rviz2 is installed"
)
def test_without_rviz_nothing_is_started():
    assert "rviz2 is not installed" in failed_launch(rviz="true")


def test_a_missing_parameters_file_is_an_error():
    assert "no such file" in failed_launch(params_file="/nowhere.yaml")


def failed_launch(**arguments: object) -> str:
    """What a launch says that ends by itself, with an error and without having started anything."""
    given = [f"{name}:={value}" for name, value in arguments.items()]
    ended = subprocess.run(
        [*LAUNCH, *given], capture_output=True, text=True, timeout=60, check=False
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 1, said
    assert "process started" not in said
    return said


def test_a_node_that_died_comes_back_if_asked_for(tiny_checkpoint: Path, tmp_path: Path):
    log = tmp_path / "log"
    given = {"image": "image", "checkpoint": tiny_checkpoint, "respawn": "true"}
    with launched(log, namespace="phoenix", **given), planner_in("phoenix") as planner:
        planner.wait_for(lambda: planner.state() == "active", 60, "the active state")
        (pid,) = re.findall(r"process started with pid \[(\d+)\]", log.read_text())
        os.kill(int(pid), signal.SIGKILL)
        planner.wait_for(lambda: log.read_text().count("]: active: ") == 2, 60, "another life")


def test_two_cameras_run_side_by_side(tiny_checkpoint: Path, tmp_path: Path):
    node = {"checkpoint": tiny_checkpoint, "image": "image"}
    with (
        launched(tmp_path / "left.log", namespace="left", **node),
        launched(tmp_path / "right.log", namespace="right", **node),
        planner_in("left") as left,
        planner_in("right") as right,
    ):
        for planner in (left, right):
            planner.wait_for(lambda p=planner: p.state() == "active", 90, "the active state")
        left.kept_image()
        assert left.predict(x=[1], y=[1]).error_code == 0
        assert right.predict(x=[1], y=[1]).error_code == 2  # no image on that side
