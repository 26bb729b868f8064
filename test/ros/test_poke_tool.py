# SPDX-License-Identifier: Apache-2.0
"""fpt_poke beside a running node, used by publishing what RViz and rqt publish."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ament_index_python import get_package_prefix
from fpt_ros.msg import MotionDistributions, PokeArray, QueryPoints
from geometry_msgs.msg import Point, PointStamped
from ros_harness import FRAME, ROOT, scene
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from visualization_msgs.msg import InteractiveMarkerFeedback, InteractiveMarkerUpdate, Marker
from visualization_msgs.srv import GetInteractiveMarkers

from fpt_ros.poke_tool import handles
from fpt_ros.poke_tool.view import distance_to_see_all
from fpt_ros.ros.cameras import shown_camera
from fpt_ros.ros.conversions import pokes_from_message
from fpt_ros.ros.projection import DEPTH

SIZE = (96, 64)
LOOK = shown_camera(SIZE, None)  # no camera_info is published
FEEDBACK = InteractiveMarkerFeedback
SERVICE = "fpt_poke/handles/get_interactive_markers"


@pytest.fixture(scope="module")
def running(start_node_of_module, tmp_path_factory):
    """The node and fpt_poke in one namespace, both with an image, and their planner."""
    _, planner = start_node_of_module(autostart=True, grid="[4, 3]")
    log = tmp_path_factory.mktemp("poke") / "poke.log"
    executable = Path(get_package_prefix("fpt_ros")) / "lib/fpt_ros/fpt_poke"
    command = [str(executable), "--ros-args", "-r", f"__ns:={planner.node.get_namespace()}"]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": path},
        )
    for topic, kind in (
        ("pokes", PokeArray),
        ("query_points", QueryPoints),
        ("motion", MotionDistributions),
        ("fpt_poke/handles/update", InteractiveMarkerUpdate),
        ("fpt_poke/accepted_pokes", PokeArray),
    ):
        planner.listen(topic, kind)
    planner.kept_image()

    def both_see() -> bool:
        planner.image()
        return "menu" in shown(planner)

    planner.wait_for(both_see, what="the menu's handle")
    yield process, planner
    process.terminate()
    assert process.wait(20) == 0, log.read_text()
    print(log.read_text())


@pytest.fixture
def person(running):
    """Whose pokes are cleared before; fpt_poke must be up after every test."""
    process, planner = running
    choose(planner, "menu", handles.CLEAR)
    planner.wait_for(lambda: set(shown(planner)) == {"menu"}, what="no pokes")
    planner.received.clear()
    yield planner
    assert process.poll() is None
    assert "menu" in shown(planner)


def shown(planner):
    """The interactive markers, by name, as a display that starts now gets them."""
    response = planner.call(SERVICE, GetInteractiveMarkers, GetInteractiveMarkers.Request())
    return {marker.name: marker for marker in response.markers}


def choose(planner, name, entry):
    """Select an entry in a handle's menu."""
    feedback = FEEDBACK(marker_name=name, event_type=FEEDBACK.MENU_SELECT, menu_entry_id=entry)
    planner.publish("fpt_poke/handles/feedback", feedback)


def drag(planner, name, pixel):
    """Move a handle to where it is seen at a pixel, as the display says it."""
    feedback = FEEDBACK(marker_name=name, event_type=FEEDBACK.POSE_UPDATE)
    feedback.header.frame_id = FRAME
    feedback.pose.position = point_at(pixel, 0.94)
    planner.publish("fpt_poke/handles/feedback", feedback)


def point_at(pixel, metres):
    """What is seen at a pixel, so far ahead."""
    x, y, z = LOOK.unproject(np.array([pixel]), np.array([metres]))[0]
    return Point(x=x, y=y, z=z)


def click_in_space(planner, pixel, frame_id=FRAME):
    point = point_at(pixel, 1.7)
    if frame_id != FRAME:  # upright: x ahead, y left, z up; and behind the camera
        behind = distance_to_see_all(LOOK) - DEPTH
        point = Point(x=point.z + behind, y=-point.x, z=-point.y)
    clicked = PointStamped(point=point)
    clicked.header.frame_id = frame_id
    planner.publish("clicked_point", clicked)


def wait_for_pokes(planner, *rows):
    """Until these were published and predicted."""

    def are(messages) -> bool:
        if not messages:
            return False
        pokes = pokes_from_message(messages[-1].pokes)
        wanted = np.reshape(rows, (-1, 4))
        return pokes.shape == wanted.shape and np.allclose(pokes, wanted, atol=0.01)

    both = [planner.received[topic] for topic in ("pokes", "motion")]
    planner.wait_for(lambda: all(map(are, both)), what=f"{rows} and their motion")


@pytest.mark.parametrize("where", ["optical", "view"])
def test_two_published_points_are_a_poke(person, where):
    frame_id = FRAME
    if where == "view":
        frame_id = f"{person.node.get_namespace().strip('/')}/fpt_view"
    click_in_space(person, (20, 30), frame_id)
    person.wait_for(lambda: "begun" in shown(person))
    assert not person.received["pokes"]
    click_in_space(person, (35, 26), frame_id)
    wait_for_pokes(person, (20, 30, 15, -4))
    assert {"poke 1 start", "poke 1 end"} < set(shown(person))


def test_clicks_of_rqt_image_view_are_a_poke(person):
    for topic, at in (("image_mouse_left", (10, 12)), ("overlay_mouse_left", (30, 32))):
        person.publish(topic, Point(x=float(at[0]), y=float(at[1])))
        time.sleep(0.2)
    wait_for_pokes(person, (10, 12, 20, 20))


def test_points_that_cannot_be_meant_change_nothing(person):
    clicks = person.node.create_publisher(PointStamped, "clicked_point", 5)
    click_in_space(person, (20, 30))
    click_in_space(person, (200, 30))  # beside the image
    click_in_space(person, (35, 26), "map")  # there is no transform
    behind = PointStamped(point=Point(z=-1.0))
    behind.header.frame_id = FRAME
    person.publish("clicked_point", behind)
    person.wait_for(lambda: "not in front" in shown(person)["menu"].description)
    click_in_space(person, (35, 26))
    wait_for_pokes(person, (20, 30, 15, -4))
    person.in_executor(person.node.destroy_publisher, clicks)


def test_dragging_the_handles_gives_live_answers(person):
    choose(person, "menu", handles.ADD)
    wait_for_pokes(person, (48, 32, 7.68, 0))
    for x in range(50, 71, 4):
        drag(person, "poke 1 end", (x, 20))
        time.sleep(0.05)
    wait_for_pokes(person, (48, 32, 22, -12))
    answers = {pokes_from_message(m.pokes).tobytes() for m in person.received["motion"]}
    assert len(answers) >= 3  # while it was dragged, too
    drag(person, "poke 1 start", (40, 30))
    wait_for_pokes(person, (40, 30, 22, -12))
    seen = LOOK.project(np.array([[p.x, p.y, p.z] for p in [position_of(person, "poke 1 end")]]))
    np.testing.assert_allclose(seen, [[62, 18]], atol=0.01)


def position_of(planner, name):
    return shown(planner)[name].pose.position


def test_updates_are_what_a_display_needs_to_follow(person):
    """Numbered without a gap; the handle in hand is not moved by us, the other end is."""
    choose(person, "menu", handles.ADD)
    wait_for_pokes(person, (48, 32, 7.68, 0))
    drag(person, "poke 1 start", (40, 30))
    wait_for_pokes(person, (40, 30, 7.68, 0))
    choose(person, "poke 1 end", handles.REMOVE)
    person.wait_for(lambda: set(shown(person)) == {"menu"})
    updates = person.received["fpt_poke/handles/update"]
    numbers = [update.seq_num for update in updates]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    moved = [pose.name for update in updates for pose in update.poses]
    assert moved == ["poke 1 end"]
    assert sorted(updates[-1].erases) == ["poke 1 end", "poke 1 start"]
    wait_for_pokes(person)


def test_query_points_by_clicks(person):
    choose(person, "menu", handles.ASK)
    click_in_space(person, (20, 30))
    click_in_space(person, (25, 31))
    person.wait_for(lambda: [len(m.x) for m in person.received["query_points"]] == [1, 2])
    np.testing.assert_allclose(person.received["query_points"][-1].x, [20, 25], atol=0.01)
    person.wait_for(lambda: person.received["motion"] and len(person.received["motion"][-1].x) == 2)
    choose(person, "menu", handles.FORGET)
    choose(person, "menu", handles.ASK)
    person.wait_for(lambda: len(person.received["motion"][-1].x) == 12, what="the grid again")


def test_a_plan_replaces_the_poke_or_says_why_not_and_accepting_publishes_it(person):
    choose(person, "menu", handles.ADD)
    wait_for_pokes(person, (48, 32, 7.68, 0))
    choose(person, "poke 1 end", handles.PLAN)
    person.wait_for(lambda: "plan" in shown(person)["menu"].description)
    done = ("planned: ", "no plan: ")
    person.wait_for(lambda: shown(person)["menu"].description.startswith(done), 60, "a plan")
    choose(person, "menu", handles.ACCEPT)
    accepted = person.wait_for_message("fpt_poke/accepted_pokes")
    person.wait_for(lambda: person.received["motion"][-1].pokes == accepted.pokes)
    assert len(accepted.pokes) == 1
    assert accepted.header.frame_id == FRAME
    assert accepted.header.stamp.sec > 0


def test_the_picture_is_shown_to_who_looks(person):
    person.listen("view/camera_info", CameraInfo)
    person.listen("view/surface", Marker)
    for topic, kind in (("view/cloud", PointCloud2), ("view/image", Image)):
        subscription = person.listen(topic, kind)

        def arrived(topic=topic) -> bool:
            person.image()
            return bool(person.received[topic])

        person.wait_for(arrived, what=topic)
        message = person.received[topic][-1]
        assert (message.header.frame_id, message.width, message.height) == (FRAME, *SIZE)
        person.in_executor(person.node.destroy_subscription, subscription)
    pixels = np.frombuffer(person.received["view/image"][-1].data, np.uint8)
    assert (pixels.reshape(64, 96, 3) == scene()).all()
    info = person.received["view/camera_info"][-1]
    assert info.header.stamp == person.received["view/image"][-1].header.stamp
    assert shown_camera(SIZE, info) == LOOK
    mesh = person.wait_for_message("view/surface")
    corners = LOOK.project(np.array([[p.x, p.y, p.z] for p in mesh.points]))
    np.testing.assert_allclose(corners.min(0), (-0.5, -0.5), atol=1e-3)
    np.testing.assert_allclose(corners.max(0), (95.5, 63.5), atol=1e-3)


def test_a_transform_to_the_frame_of_the_view_is_announced(person):
    tf2 = pytest.importorskip("tf2_msgs.msg", reason="there is no wheel of tf2_msgs")
    from fpt_ros.poke_tool.view import LATCHED

    person.listen("/tf_static", tf2.TFMessage, LATCHED)
    (transform,) = person.wait_for_message("/tf_static").transforms
    namespace = person.node.get_namespace().strip("/")
    assert transform.header.frame_id == FRAME
    assert transform.child_frame_id == f"{namespace}/fpt_view"
    behind = distance_to_see_all(LOOK) - DEPTH
    assert transform.transform.translation.z == pytest.approx(-behind)


def test_wrong_use_is_said_in_one_line():
    executable = Path(get_package_prefix("fpt_ros")) / "lib/fpt_ros/fpt_poke"

    def run(*arguments):
        command = [sys.executable, str(executable), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert "RViz" in run("--help").stdout
    wrong = run("--what")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    wrong = run("--ros-args", "-p", "image_transport:=theora")
    assert wrong.returncode == 1
    assert "image_transport is 'theora': must be raw or compressed" in wrong.stderr
    wrong = run("--ros-args", "-p", "depth_image_transport:=rvl")
    assert "depth_image_transport is 'rvl': must be raw or compressedDepth" in wrong.stderr
