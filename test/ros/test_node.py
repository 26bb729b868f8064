# SPDX-License-Identifier: Apache-2.0
"""The node in this process, without a planner: what it says of itself."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from fpt_ros.msg import ErrorCode as Constants
from rclpy.exceptions import ParameterException
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_harness import NodeProcess
from sensor_msgs.msg import CompressedImage, Image

from fpt_ros.engine.errors import ErrorCode
from fpt_ros.engine.gpu import unused_gpu
from fpt_ros.engine.statistics import Statistics
from fpt_ros.ros import diagnostics
from fpt_ros.ros.image_source import lost_images, why_no_image
from fpt_ros.ros.lifecycle import FAILURE, SUCCESS
from fpt_ros.ros.node import FptNode
from fpt_ros.ros.topics import camera_info_topic


@pytest.fixture
def start():
    """Starts rclpy with these arguments and gives a node."""
    nodes = []

    def start(*arguments, kind=FptNode):
        rclpy.init(args=["--ros-args", *arguments])
        nodes.append(kind())
        return nodes[0]

    yield start
    for node in nodes:
        if isinstance(node, FptNode):
            assert node.close(5)
        node.destroy_node()
    rclpy.try_shutdown()


def judged(statistics, state="active", images="", unused="", model=None):
    status = diagnostics.status("/fpt", state, model, statistics, 0, images, unused)
    return status.level, status.message


def test_error_codes_are_those_of_the_message():
    names = [name for name in dir(Constants) if name.isupper() and not name.startswith("_")]
    assert {name: getattr(Constants, name) for name in names if name != "SLOT_TYPES"} == {
        code.name: code.value for code in ErrorCode
    }


def test_an_error_is_shown_until_something_succeeds(monkeypatch):
    statistics = Statistics()
    statistics.failed("no such file")
    now = time.monotonic() + 3600
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for state in ("unconfigured", "active"):
        assert judged(statistics, state) == (DiagnosticStatus.ERROR, "no such file")
    statistics.succeeded()
    assert judged(statistics, "inactive") == (DiagnosticStatus.OK, "inactive")


def test_what_is_missing_is_shown():
    statistics = Statistics()
    level, message = judged(statistics, images="nobody publishes /image")
    assert level == DiagnosticStatus.WARN and "nobody publishes /image" in message
    level, message = judged(statistics, unused="computes on the CPU")
    assert level == DiagnosticStatus.WARN and "on the CPU" in message
    statistics.refused("pokes: too long")
    assert judged(statistics)[0] == DiagnosticStatus.WARN
    assert judged(Statistics())[0] == DiagnosticStatus.OK


def test_a_gpu_that_torch_cannot_use(tmp_path):
    assert unused_gpu(tmp_path) == ""
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidia0").touch()
    found = unused_gpu(tmp_path)
    for words in ("on the CPU", "/dev/nvidia0", "torch 2", "pytorch.org"):
        assert words in found


def test_camera_info_is_beside_the_image_unless_it_is_remapped(start):
    node = start("-r", "image:=/camera/image_raw", kind=lambda: rclpy.create_node("a"))
    assert camera_info_topic(node) == "/camera/camera_info"


def test_camera_info_can_be_remapped(start):
    arguments = ("-r", "image:=/camera/image_raw", "-r", "camera_info:=/left/info")
    node = start(*arguments, kind=lambda: rclpy.create_node("a"))
    assert camera_info_topic(node) == "/left/info"


def test_parameters_can_be_set_to_what_they_are(start):
    """As `ros2 param load` does with what `ros2 param dump` wrote."""
    arguments = ("-p", "autostart:=true", "-p", "qos_overrides./image.subscription.depth:=3")
    node = start(*arguments)
    present = list(node.get_parameters_by_prefix("").values())
    assert {"autostart", "use_sim_time", "grid"} <= {parameter.name for parameter in present}
    node.state = "active"  # in which most may not be changed
    results = [node.set_parameters_atomically([parameter]) for parameter in present]
    assert all(result.successful for result in results), results
    for name, value in (("autostart", False), ("device", "cpu")):
        assert not node.set_parameters_atomically([Parameter(name, value=value)]).successful


def test_failures_do_not_flood_the_log(start, capfd):
    node = start()
    for i in range(200):
        node.report_fault(ValueError(f"fault {i}"))
    assert node.statistics.total("failures") == 200
    assert 1 <= capfd.readouterr().err.count("ValueError: fault") <= 2


@pytest.mark.parametrize(
    ("publish", "words"),
    [
        (None, "nobody publishes /image; image topics are .*/camera/color.*: remap image"),
        (
            (CompressedImage, 10),
            "sensor_msgs/msg/CompressedImage, must be sensor_msgs/msg/Image: set image_transport "
            "to compressed",
        ),
        (
            (Image, QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)),
            "override it by parameters qos_overrides./image.subscription",
        ),
        ((Image, 10), "is published by camera, but nothing arrives"),
    ],
)
def test_why_no_image_comes(start, publish, words):
    node = start(kind=lambda: rclpy.create_node("fpt"))
    reliable = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
    subscription = node.create_subscription(Image, "image", print, reliable)
    node.create_publisher(Image, "overlay", 1)  # its own
    context = rclpy.Context()  # as of another process: one knows a topic by one type only
    rclpy.init(context=context, args=[])
    camera = rclpy.create_node("camera", context=context)
    camera.create_publisher(Image, "camera/color", 1)
    if publish:
        camera.create_publisher(publish[0], "image", publish[1])
    end = time.monotonic() + 10
    # Topics of nodes of other tests may still be known.
    while not re.search(words, found := why_no_image(node, subscription)):
        assert time.monotonic() < end, found
        time.sleep(0.05)
    camera.destroy_node()
    context.try_shutdown()


def test_stamps_that_skip_are_lost_images():
    random = np.random.default_rng(0)
    stamps = 1e9 + np.arange(90) / 30 + random.uniform(-0.003, 0.003, 90)
    assert lost_images(stamps) == ""
    arrived = stamps[random.random(90) < 13 / 30]
    said = lost_images(arrived)
    assert said.startswith(f"{len(arrived) - 1} of about") and "shared memory" in said
    assert int(said.split()[3]) == round(30 * (arrived[-1] - arrived[0]))
    assert lost_images(np.cumsum(random.uniform(0.02, 0.06, 90))) == ""  # an irregular camera
    assert lost_images(arrived[:10]) == ""  # too few to judge
    assert lost_images(np.roll(arrived, 5)) == ""  # a recording that starts again
    assert lost_images(np.zeros(50)) == ""  # images without a stamp


def topics_of(node):
    """The topics that it publishes and subscribes to, without those of every node."""
    entities = [*node.publishers, *node.subscriptions]
    common = ("/rosout", "/parameter_events", "/diagnostics", "/fpt/transition_event")
    return {entity.topic_name for entity in entities} - set(common)


@pytest.mark.parametrize(
    ("name", "failing"),
    [
        ("qos_overrides./motion.publisher.reliability", "configure"),
        ("qos_overrides./pokes.subscription.durability", "activate"),
    ],
)
def test_a_failed_transition_leaves_nothing_and_names_the_override(
    start, tiny_checkpoint, capfd, name, failing
):
    node = start("-p", f"checkpoint:={tiny_checkpoint}", "-p", f"{name}:=relieble")
    before = topics_of(node)
    if failing == "activate":
        assert node.trigger_configure() == SUCCESS
        before = topics_of(node)
    assert getattr(node, f"trigger_{failing}")() == FAILURE
    assert topics_of(node) == before
    said = f"cannot {failing}"
    assert node.statistics.fault.startswith(f"parameter {name} is 'relieble': must be one of sys")
    errors = capfd.readouterr().err
    assert said in errors and name in errors and "Traceback" not in errors


def test_device_that_is_not_there(start, tiny_checkpoint, capfd):
    node = start("-p", f"checkpoint:={tiny_checkpoint}", "-p", "device:=cuda:99")
    assert node.trigger_configure() == FAILURE
    assert "cuda:99" in node.statistics.fault
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        ("max_queries:=-5", "max_queries"),
        ("trigger:=sometimes", "must be one of pokes, image, both"),
        ("grid:=[3]", r"must be \[columns, rows\]"),
    ],
)
def test_parameter_that_is_not_allowed(start, parameter, words):
    with pytest.raises((ValueError, ParameterException), match=words):
        start("-p", parameter)


def test_process_with_a_parameter_that_is_not_allowed(tmp_path):
    node = NodeProcess("wrong", tmp_path / "wrong.log", trigger="sometimes")
    assert node.process.wait(60) == 1
    assert "cannot start: trigger is 'sometimes'" in node.log and "Traceback" not in node.log


def test_overrides_that_no_topic_takes_are_named(start, tiny_checkpoint, capfd):
    used, typo, lost = (
        f"qos_overrides.{name}"
        for name in (
            "/image.subscription.depth",
            "/image.subscription.reliabilty",
            "/imag.subscription.depth",
        )
    )
    node = start(
        *("-p", f"checkpoint:={tiny_checkpoint}", "-p", f"{used}:=3"),
        *("-p", f"{typo}:=reliable", "-p", f"{lost}:=3"),
    )
    assert node.trigger_configure() == SUCCESS and node.trigger_activate() == SUCCESS
    said = [line for line in capfd.readouterr().err.splitlines() if "has no effect" in line]
    assert len(said) == 2
    assert f"parameter {typo} has" in said[0] and f"parameter {lost} has" in said[1]
    assert "/image.subscription, " in said[0] and "POLICY one of depth, history" in said[0]
