# SPDX-License-Identifier: Apache-2.0
"""Images and pokes in, motion and pictures out, on a running node."""

from __future__ import annotations

import time

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from fpt_ros.msg import ModelInfo, MotionDistributions, Poke
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_harness import FRAME, image_message, scene
from sensor_msgs.msg import Image
from visualization_msgs.msg import Marker, MarkerArray

from fpt_ros.inference.view import grid_points
from fpt_ros.ros.conversions import motion_from_message

POKE = (40.0, 30.0, 12.0, -5.0)


@pytest.fixture
def listener(planner):
    """The planner, listening to motion, with the node's inputs as after its start."""
    subscription = planner.listen("motion", MotionDistributions)
    planner.points([], [])
    planner.pokes()
    planner.wait_for_message("motion")
    planner.received.clear()
    yield planner
    planner.set_parameter("trigger", "pokes")
    planner.in_executor(planner.node.destroy_subscription, subscription)


def stamp_of_newest(messages: list) -> Time | None:
    """Of pictures or markers; None if there are none yet."""
    if not messages:
        return None
    newest = messages[-1]
    return (newest.markers[0] if isinstance(newest, MarkerArray) else newest).header.stamp


def test_each_poke_array_gives_a_motion(listener):
    stamp = listener.kept_image()
    for i in range(3):
        listener.pokes((*POKE[:3], float(i)))
        message = listener.wait_for_message("motion", seen=i)
        assert message.pokes == [Poke(x=40.0, y=30.0, dx=12.0, dy=float(i))]
        assert (message.header.stamp, message.header.frame_id) == (stamp, FRAME)
        assert (message.grid_width, message.grid_height) == (32, 24)
    listener.pokes()
    assert listener.wait_for_message("motion", seen=3).pokes == []


def test_poke_arrays_that_come_at_once_are_all_answered(listener):
    stamps = [listener.kept_image() for _ in range(3)]
    wanted = [stamps[i % 3] for i in range(12)]
    for i, stamp in enumerate(wanted):
        listener.pokes((*POKE[:3], float(i)), stamp=stamp)
    listener.wait_for(lambda: len(listener.received["motion"]) == 12)
    answered = [(m.header.stamp, m.pokes[0].dy) for m in listener.received["motion"]]
    assert answered == [(stamp, float(i)) for i, stamp in enumerate(wanted)]


def test_pokes_stamped_by_a_tool_mean_the_newest_image(listener):
    stamp = listener.kept_image()
    listener.pokes(POKE, stamp=Time(sec=2_000_000_000))
    assert listener.wait_for_message("motion").header.stamp == stamp


def test_pokes_with_a_stamp_mean_that_image(listener):
    first = listener.kept_image()
    listener.kept_image()
    listener.pokes(POKE, stamp=first)
    assert listener.wait_for_message("motion").header.stamp == first


def test_query_points_replace_the_grid_until_they_are_empty(listener):
    listener.points([3, 4.5], [5, 6])
    listener.pokes(POKE)
    message = listener.wait_for_message("motion")
    assert (message.x.tolist(), message.y.tolist()) == ([3, 4.5], [5, 6])
    assert (message.grid_width, message.grid_height) == (0, 0)
    listener.points([], [])
    listener.pokes(POKE)
    assert listener.wait_for_message("motion", seen=1).grid_width == 32


def test_trigger_image_predicts_each_image_with_the_current_pokes(listener):
    assert listener.set_parameter("trigger", "image").successful
    listener.pokes(POKE)
    time.sleep(0.3)  # two topics: the image may else overtake the pokes
    for seen in range(3):
        stamp = listener.image()
        message = listener.wait_for_message("motion", seen=seen)
        assert message.header.stamp == stamp
        assert message.pokes[0].x == 40.0
    listener.pokes((1.0, 2.0, 3.0, 4.0))
    time.sleep(0.3)
    assert len(listener.received["motion"]) == 3


def test_trigger_both(listener):
    assert listener.set_parameter("trigger", "both").successful
    listener.pokes(POKE)
    listener.wait_for_message("motion")
    stamp = listener.image()
    assert listener.wait_for_message("motion", seen=1).header.stamp == stamp


@pytest.mark.parametrize(
    ("send", "reason"),
    [
        (lambda planner: planner.pokes((96, 5, 0, 0)), "pokes: pokes[0].x is 96"),
        (lambda planner: planner.pokes(POKE, (5, float("nan"), 0, 0)), "pokes: pokes[1].y is nan"),
        (
            lambda planner: planner.pokes((5, 5, 1e9, 0)),
            "pokes: pokes[0] has (dx, dy)",
        ),
        (lambda planner: planner.pokes(POKE, stamp=Time(sec=3)), "pokes: stamp 3.0"),
        (lambda planner: planner.points([1, 2], [3]), "query_points: x has 2 entries and y has 1"),
        (lambda planner: planner.points([1], [64]), "query_points: y[0] is 64"),
        (lambda planner: planner.points([float("inf")], [1]), "query_points: x[0] is inf"),
        (lambda planner: planner.points([1] * 16385, [1] * 16385), "query_points: x has 16385"),
        (lambda planner: planner.image(encoding="jpg9"), "image: encoding is 'jpg9': must be one"),
        (lambda planner: planner.image(height=0), "image: width x height is 96 x 0"),
        (lambda planner: planner.image(width=0), "image: width x height is 0 x 64"),
        (lambda planner: planner.image(step=287), "image: step is 287: must be at least 288"),
        (lambda planner: planner.image(data=b"123"), "image: data has 3 bytes: must be at least"),
    ],
)
def test_bad_message_is_refused_whole_and_counted(listener, send, reason):
    before = int(listener.status["messages refused"])
    send(listener)
    listener.wait_for(lambda: int(listener.status["messages refused"]) > before)
    assert int(listener.status["messages refused"]) == before + 1
    assert listener.status["last refusal"].startswith(reason), listener.status["last refusal"]
    assert listener.status["level"] == DiagnosticStatus.WARN[0]
    assert not listener.received["motion"]
    listener.pokes(POKE)
    good = listener.wait_for_message("motion")
    assert (len(good.x), len(good.pokes)) == (32 * 24, 1)


def test_flow_is_the_mean_on_the_grid(listener):
    subscription = listener.listen("flow", Image)
    stamp = listener.kept_image()
    listener.pokes(POKE)
    flow = listener.wait_for_message("flow")
    assert (flow.encoding, flow.width, flow.height, flow.step) == ("32FC2", 32, 24, 256)
    assert (flow.header.stamp, flow.header.frame_id) == (stamp, FRAME)
    values = np.frombuffer(flow.data, np.float32).reshape(24, 32, 2)
    motion = motion_from_message(listener.wait_for_message("motion"))
    np.testing.assert_allclose(values, motion.flow, atol=1e-4)
    listener.points([3], [4])
    listener.pokes(POKE)
    on_grid = listener.wait_for_message("flow", seen=1)
    np.testing.assert_allclose(np.frombuffer(on_grid.data, np.float32).reshape(24, 32, 2), values)
    listener.in_executor(listener.node.destroy_subscription, subscription)


def test_overlay_is_the_image_with_the_motion_on_it(listener):
    subscription = listener.listen("overlay", Image)
    stamp = listener.kept_image()
    listener.points([60], [50])
    listener.pokes((20, 20, 40, 0))
    listener.wait_for(lambda: stamp_of_newest(listener.received["overlay"]) == stamp)
    overlay = listener.received["overlay"][-1]
    assert (overlay.encoding, overlay.width, overlay.height) == ("rgb8", 96, 64)
    assert (overlay.header.stamp, overlay.header.frame_id) == (stamp, FRAME)
    pixels = np.frombuffer(overlay.data, np.uint8).reshape(64, 96, 3)
    changed = (pixels != scene()).any(axis=-1)
    assert changed[50, 60]
    assert (pixels[20, 32:40] == 255).all()  # the poke's shaft
    listener.in_executor(listener.node.destroy_subscription, subscription)


def test_markers_project_with_the_camera_info(listener):
    subscription = listener.listen("markers", MarkerArray)
    listener.camera_info(96, 64, focal=80.0)
    stamp = listener.kept_image()
    listener.points([60], [50])
    time.sleep(0.2)
    listener.pokes((48, 32, 16, 0))
    listener.wait_for(lambda: stamp_of_newest(listener.received["markers"]) == stamp)
    clear, *shown = listener.received["markers"][-1].markers
    assert clear.action == Marker.DELETEALL
    by_name = {(marker.ns, marker.id): marker for marker in shown}
    assert len(by_name) == len(shown)
    assert all(marker.header.stamp == stamp for marker in shown)
    assert all(marker.header.frame_id == FRAME for marker in shown)
    assert all(0 < marker.lifetime.sec < 60 for marker in shown)
    start, end = by_name["pokes", 1].points[:2]
    assert (start.x, start.y) == (0.0, 0.0)  # the principal point
    assert 0.9 < start.z < 1.0  # before the plane 1 m ahead
    assert (end.x / end.z, end.y / end.z) == pytest.approx((16 / 80, 0.0))
    listener.in_executor(listener.node.destroy_subscription, subscription)


@pytest.mark.parametrize("topic", ["overlay", "markers"])
@pytest.mark.parametrize("durability", list(DurabilityPolicy)[1:3])
def test_who_comes_late_gets_what_holds(listener, topic, durability):
    """Without a new poke; whether latching is asked for or not."""
    stamp = listener.kept_image()
    listener.pokes(POKE)
    listener.wait_for_message("motion")
    kind = {"overlay": Image, "markers": MarkerArray}[topic]
    for _ in range(2):  # also who comes back
        subscription = listener.listen(topic, kind, QoSProfile(depth=1, durability=durability))
        listener.wait_for(lambda: stamp_of_newest(listener.received[topic]) == stamp, 5)
        listener.in_executor(listener.node.destroy_subscription, subscription)
        time.sleep(0.6)
        listener.received[topic].clear()


def test_motion_is_latched(listener):
    listener.kept_image()
    listener.pokes(POKE)
    newest = listener.wait_for_message("motion")
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    late: list = []
    subscription = listener.node.create_subscription(
        MotionDistributions, "motion", late.append, latched
    )
    listener.wait_for(lambda: late and late[-1] == newest, 5, "the motion that holds")
    listener.in_executor(listener.node.destroy_subscription, subscription)


def test_model_info_is_latched(planner, tiny_checkpoint):
    import hashlib

    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    subscription = planner.listen("fpt/model_info", ModelInfo, latched)
    info = planner.wait_for_message("fpt/model_info")
    assert info.checkpoint == str(tiny_checkpoint)
    assert info.sha256 == hashlib.sha256(tiny_checkpoint.read_bytes()).hexdigest()
    assert (info.components, info.view_size) == (4, 64)
    assert (info.horizon.sec, info.horizon.nanosec) == (0, 500_000_000)
    assert info.parameters > 1000
    assert info.device in ("cpu", "cuda")
    planner.in_executor(planner.node.destroy_subscription, subscription)


def test_slow_predictions_are_made_on_the_newest_image_only(listener):
    """Thirty images in a second, each prediction slower than that: nothing queues up."""
    listener.set_parameter("trigger", "image")
    points = np.random.default_rng(0).uniform(0, 63, (16384, 2))
    listener.points(points[:, 0], points[:, 1])
    before = int(listener.diagnostics()["images and pokes dropped for newer ones"])
    for _ in range(30):
        last = listener.image()
        time.sleep(1 / 30)
    in_time = len(listener.received["motion"])
    listener.wait_for(
        lambda: listener.received["motion"] and listener.received["motion"][-1].header.stamp == last
    )
    predicted = len(listener.received["motion"])
    dropped = int(listener.diagnostics()["images and pokes dropped for newer ones"]) - before
    assert predicted < 30
    assert predicted + dropped <= 30  # the middleware may drop some, too
    # After the last image: what was under way and on the way, and that image's.
    assert predicted - in_time <= 3
    time.sleep(0.3)
    assert len(listener.received["motion"]) == predicted


def test_an_image_that_was_asked_about_outlives_a_live_camera(planner):
    first = planner.kept_image()
    for _ in range(3):
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            planner.image()
            time.sleep(1 / 30)
        assert planner.predict(x=[1], y=[1], stamp=first).error_code == 0


def test_padded_rows_are_the_same_picture(planner):
    padded = np.pad(scene().reshape(64, -1), ((0, 0), (0, 5))).tobytes()
    plain = planner.kept_image()
    padded_stamp = planner.kept_image(step=3 * 96 + 5, data=padded)
    answers = [planner.predict(POKE, x=[9], y=[9], stamp=s).motion for s in (plain, padded_stamp)]
    assert answers[0].means == answers[1].means


def test_images_without_stamp_are_answered_too(planner):
    message = image_message(scene(), Time())
    planner.publish("image", message)
    planner.wait_for(lambda: planner.predict(x=[1], y=[1]).motion.header.stamp == Time())


def test_grid_points_are_where_the_message_says(listener):
    listener.pokes(POKE)
    motion = motion_from_message(listener.wait_for_message("motion"))
    np.testing.assert_array_equal(motion.points, grid_points(96, 64, 32, 24))
