"""The launch file with the real launch_ros, where that is installed (the wheels have none)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ros_harness import ROOT, Planner

pytest.importorskip("launch_ros.actions", reason="launch_ros is not installed")

LAUNCH_FILE = ROOT / "launch/fpt.launch.py"
LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
arguments = [argument.split(":=", 1) for argument in sys.argv[2:]]
source = PythonLaunchDescriptionSource(sys.argv[1])
service = LaunchService()
service.include_launch_description(
    LaunchDescription([IncludeLaunchDescription(source, launch_arguments=arguments)])
)
sys.exit(service.run())
"""


@pytest.fixture
def launched(tmp_path):
    """Launches the file with arguments; gives a planner and the log."""
    started = []

    def launch(namespace, **arguments):
        log = tmp_path / "launch.log"
        given = [f"{name}:={value}" for name, value in arguments.items()]
        command = [
            sys.executable,
            "-c",
            LAUNCH,
            str(LAUNCH_FILE),
            f"namespace:={namespace}",
            *given,
        ]
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        with log.open("w") as output:
            process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": path, "ROS_LOG_DIR": str(tmp_path)},
            )
        planner = Planner(namespace)
        started.append((process, planner))
        return process, planner, log

    yield launch
    for process, planner in started:
        planner.close()
        process.send_signal(signal.SIGINT)
        process.wait(30)


def test_every_argument_is_declared_with_a_description():
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    description = PythonLaunchDescriptionSource(
        str(LAUNCH_FILE)
    ).try_get_launch_description_without_context()
    arguments = {argument.name: argument for argument in description.get_launch_arguments()}
    assert set(arguments) == {
        "params_file",
        "namespace",
        "image",
        "image_transport",
        "checkpoint",
        "device",
        "autostart",
        "use_sim_time",
        "log_level",
        "rviz",
    }
    for argument in arguments.values():
        assert len(argument.description) > 10
    for name in ("image_transport", "autostart", "use_sim_time", "log_level", "rviz"):
        assert arguments[name].choices


def test_launched_node_is_active_and_listens_to_the_remapped_image(launched, tiny_checkpoint):
    process, planner, log = launched(
        "left", checkpoint=tiny_checkpoint, image="camera/image_raw", device="cpu"
    )
    planner.wait_for(lambda: planner.state() == "active", 60, "the active state")
    planner.wait_for(lambda: planner.node.count_subscribers("camera/image_raw") == 1)
    assert planner.node.count_subscribers("camera/camera_info") == 1
    assert planner.node.count_publishers("motion") == 1
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert "Traceback" not in Path(log).read_text()


def test_arguments_win_over_the_file_only_when_given(launched, tiny_checkpoint, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "/**:\n  ros__parameters:\n"
        f"    checkpoint: {tiny_checkpoint}\n"
        "    image_transport: compressed\n    device: nowhere\n    grid: [4, 2]\n"
    )
    _, planner, _ = launched("right", params_file=file, device="cpu", autostart="false")
    planner.wait_for(lambda: planner.state() == "unconfigured", 60)
    values = {name: planner.get_parameter(name) for name in ("image_transport", "device", "grid")}
    assert values["image_transport"] == "compressed"
    assert values["device"] == "cpu"
    assert list(values["grid"]) == [4, 2]
    assert planner.get_parameter("checkpoint") == str(tiny_checkpoint)
    assert planner.get_parameter("autostart") is False


def test_argument_outside_its_choices_is_refused(tmp_path):
    command = [sys.executable, "-c", LAUNCH, str(LAUNCH_FILE), "image_transport:=theora"]
    environment = {**os.environ, "ROS_LOG_DIR": str(tmp_path)}
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert result.returncode != 0
    assert "theora" in result.stdout + result.stderr
