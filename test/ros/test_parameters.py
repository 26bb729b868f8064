# SPDX-License-Identifier: Apache-2.0
"""Parameters of a running node: described, checked, and effective at once or refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import rclpy
import yaml
from builtin_interfaces.msg import Time
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from ros_harness import ROOT, image_message, scene
from sensor_msgs.msg import Image

from fpt_ros.engine.settings import FIELDS, LIVE, RECONFIGURE, RESTART
from fpt_ros.ros.conversions import motion_from_message
from fpt_ros.ros.parameters import yaml_value

POKE = (40.0, 30.0, 12.0, -5.0)


def of_node(names):
    """Without those that rclpy declares."""
    return {
        name
        for name in names
        if not name.startswith("qos_overrides.")
        and name not in ("use_sim_time", "start_type_description_service")
    }


def test_every_parameter_is_described(planner):
    descriptors = planner.describe_parameters()
    assert of_node(descriptors) == set(FIELDS)
    for name, field in FIELDS.items():
        assert len(descriptors[name].description) > 20
        assert descriptors[name].description.endswith(f"({field.metadata['when']})")
        if field.metadata["minimum"] is not None and not isinstance(field.default, tuple):
            ranges = descriptors[name].integer_range or descriptors[name].floating_point_range
            assert ranges[0].from_value == field.metadata["minimum"]
            assert ranges[0].to_value == field.metadata["maximum"]


def test_quality_of_service_can_be_overridden(start_node, tmp_path):
    file = tmp_path / "reliable.yaml"
    file.write_text(
        "/**:\n  ros__parameters:\n    qos_overrides:\n      /camera/image:\n"
        "        subscription:\n          reliability: reliable\n          depth: 3\n"
        "          durability: transient_local\n"
    )
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    context = rclpy.Context()
    rclpy.init(context=context, args=[])
    photo = rclpy.create_node("photo", context=context)  # published once, before the node is there
    photo.create_publisher(Image, "/camera/image", latched).publish(image_message(scene(), Time()))
    _, planner = start_node(namespace="camera", params_file=file, autostart=True)
    (image,) = planner.node.get_subscriptions_info_by_topic("/camera/image")
    assert image.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    (info,) = planner.node.get_subscriptions_info_by_topic("/camera/camera_info")
    assert info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    planner.wait_for(lambda: planner.predict().error_code == 0)
    photo.destroy_node()
    context.try_shutdown()


def test_parameters_file_says_the_same():
    document = yaml.safe_load((ROOT / "config/fpt.yaml").read_text())
    values = document["/**"]["ros__parameters"]
    defaults = {
        name: list(field.default) if isinstance(field.default, tuple) else field.default
        for name, field in FIELDS.items()
    }
    assert values == defaults
    assert list(values) == list(FIELDS)


def test_readme_says_the_same():
    readme = Path(ROOT / "README.md").read_text()
    for name, field in FIELDS.items():
        row = re.search(rf"^\| `{name}` \|(.*)$", readme, re.MULTILINE)
        assert row, f"README.md has no row for the parameter {name}"
        assert f"`{yaml_value(field.default)}`" in row[1], row[0]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("max_queries", 0, "range"),
        ("image_cache", 0, "range"),
        ("horizon", -1.0, "range"),
        ("trigger", "never", "must be one of pokes, image, both"),
        ("sample_range", [9, 9], "[9, 9]: must be [low, high], each 0 to 65535, low below high"),
        ("sample_range", [0, 65536], "each 0 to 65535"),
        ("sample_range", [1], "must be [low, high]"),
        ("max_image_pixels", 0, "range"),
        ("grid", [0, 5], "each 1 to 1024"),
        ("grid", [4, 4, 4], "[columns, rows]"),
        ("grid", [1000, 1000], "max_queries, which is 16384"),
        ("max_queries", 100, "768 points must be at most"),
        ("checkpoint", "/elsewhere.pt", "deactivate and clean it up"),
        ("device", "cpu", "takes effect when the node is configured"),
        ("image_transport", "compressed", "takes effect when the node is configured"),
        ("autostart", False, "read when the node starts"),
    ],
)
def test_set_that_is_not_allowed_or_cannot_take_effect_is_refused(planner, name, value, words):
    before = planner.get_parameter(name)
    result = planner.set_parameter(name, value)
    assert not result.successful
    assert words in result.reason, result.reason
    assert planner.get_parameter(name) == before


@pytest.fixture
def setting(planner):
    """Sets a parameter for one test."""
    before = {}

    def set_(name, value):
        before[name] = planner.get_parameter(name)
        result = planner.set_parameter(name, value)
        assert result.successful, result.reason

    yield set_
    for name, value in before.items():
        assert planner.set_parameter(name, value).successful


def test_grid_takes_effect_at_once(planner, setting):
    setting("grid", [5, 3])
    motion = motion_from_message(planner.predict(POKE).motion)
    assert (motion.grid, len(motion.points)) == ((5, 3), 15)


def test_horizon_takes_effect_at_once(planner, setting):
    setting("horizon", 1.25)
    assert motion_from_message(planner.predict(POKE, x=[1], y=[1]).motion).horizon == 1.25


def test_max_queries_takes_effect_at_once(planner, setting):
    setting("grid", [2, 2])
    setting("max_queries", 4)
    assert planner.predict(POKE, x=[1] * 4, y=[1] * 4).error_code == 0
    answer = planner.predict(POKE, x=[1] * 5, y=[1] * 5)
    assert "x has 5 entries: at most 4 are allowed" in answer.error_msg
    planner.set_parameter("max_queries", 16384)


def test_image_cache_takes_effect_at_once(planner, setting):
    stamps = [planner.kept_image() for _ in range(3)]
    setting("image_cache", 1)
    codes = [planner.predict(x=[1], y=[1], stamp=stamp).error_code for stamp in stamps]
    assert codes == [3, 3, 0]


def test_camera_moving_takes_effect_at_once(planner, setting):
    from fpt_ros.msg import MotionDistributions

    subscription = planner.listen("motion", MotionDistributions)
    planner.pokes(POKE)
    still = planner.wait_for_message("motion")
    setting("camera_moving", True)
    planner.pokes(POKE)
    moving = planner.wait_for_message("motion", seen=1)
    assert (still.camera_moving, moving.camera_moving) == (False, True)
    assert still.means != moving.means
    planner.in_executor(planner.node.destroy_subscription, subscription)


def test_reconfigured_parameters_take_effect_at_configure(start_node):
    _, planner = start_node()
    assert planner.set_parameter("fit", "stretch").successful
    answers = []
    for fit in ("stretch", "crop"):
        assert planner.set_parameter("fit", fit).successful
        assert planner.change_state("configure")
        assert not planner.set_parameter("fit", "pad").successful
        assert planner.change_state("activate")
        planner.kept_image()
        answers.append(planner.predict(POKE, x=[9], y=[9]).motion.means)
        assert planner.change_state("deactivate")
        assert planner.change_state("cleanup")
    assert answers[0] != answers[1]


def test_classes_are_the_three():
    assert {field.metadata["when"] for field in FIELDS.values()} == {LIVE, RECONFIGURE, RESTART}
