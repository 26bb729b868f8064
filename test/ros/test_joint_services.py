# SPDX-License-Identifier: Apache-2.0
"""Depth in, metres and joints out: services, client and topics of a running node."""

from __future__ import annotations

import array
import importlib.util
import re
import subprocess
import sys

import board
import numpy as np
import pytest
from fpt_ros.msg import ErrorCode, Joint
from fpt_ros.srv import ObserveMotion, PredictMotion3D
from geometry_msgs.msg import Vector3
from nav_msgs.msg import Path
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_harness import FRAME, ROOT, NodeProcess, Planner, as_pokes
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from fpt_ros.client import MotionClient, MotionError, NoJointError
from fpt_ros.geometry import JointKind
from fpt_ros.ros.conversions import floats, mask_to_message
from fpt_ros.ros.transforms import quaternion, rotation_matrix

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
TURN = board.turned(0.2)


@pytest.fixture(scope="module")
def looking(start_node_of_module):
    """A planner of a node that has seen the board before and after a turn of its own, and both."""
    _, planner = start_node_of_module(autostart=True, image_cache=4)
    camera = board.CAMERA
    k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
    p = [*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0]
    info = CameraInfo(width=camera.width, height=camera.height, k=k, p=p)
    stamps = [see(planner, info, motion) for motion in (board.STILL, TURN)]
    return planner, stamps


def see(planner, info, motion, millimetres=False):
    """Show an image with depth and camera until the node can fit a joint to it."""
    pixels, metres = board.draw(motion)
    stamp = planner.kept_image(pixels)
    request = PredictMotion3D.Request(stamp=stamp, pokes=as_pokes([(160, 120, 30, 0)]))
    for _ in range(100):
        planner.publish("camera_info", info)
        planner.publish("depth", depth_message(metres, stamp, millimetres))
        answer = planner.call("fpt/predict_motion_3d", PredictMotion3D, request)
        if answer.error_code != ErrorCode.NO_IMAGE:
            return stamp
    raise AssertionError(answer.error_msg)


def depth_message(metres, stamp, millimetres=False, **changes):
    samples = np.round(metres * 1000).astype(np.uint16) if millimetres else metres
    height, width = metres.shape
    message = Image(
        header=Header(stamp=stamp, frame_id=FRAME),
        height=height,
        width=width,
        encoding="16UC1" if millimetres else "32FC1",
        step=width * samples.itemsize,
        data=array.array("B", samples.tobytes()),
    )
    for field, value in changes.items():
        setattr(message, field, value)
    return message


def asked(stamp, motion=TURN, count=4, **fields):
    pokes = as_pokes(board.in_pixels(board.pokes(motion, count)))
    mask = mask_to_message(board.mask(), Header())
    return PredictMotion3D.Request(**{"stamp": stamp, "pokes": pokes, "mask": mask} | fields)


def test_a_hinge_by_its_pokes(looking):
    """The answer, and what is shown of it: axis, and the path of the first poked point."""
    planner, stamps = looking
    planner.listen("joint", MarkerArray, LATCHED)
    planner.listen("joint_path", Path, LATCHED)
    request = asked(stamps[0], x=floats([150, 1]), y=floats([120, 1]))
    answer = planner.call("fpt/predict_motion_3d", PredictMotion3D, request)
    assert answer.error_code == ErrorCode.NONE, answer.error_msg
    assert (answer.header.stamp, answer.header.frame_id) == (stamps[0], FRAME)
    assert [len(a) for a in (answer.positions, answer.means, answer.covariances)] == [6, 6, 12]
    best = answer.joints[0]
    assert best.kind == Joint.REVOLUTE
    axis = np.array([best.axis.x, best.axis.y, best.axis.z])
    assert abs(axis @ board.TILT[:, 1]) > np.cos(np.radians(3))
    markers = planner.wait_for_message("joint").markers
    assert markers[0].action == Marker.DELETEALL
    assert {m.ns for m in markers[1:]} == {"axis", "path", "text"}
    [path], [text] = ([m for m in markers if m.ns == ns] for ns in ("path", "text"))
    end, words = path.points[-1], text.pose.position
    assert words.z < 0.9 * end.z  # before the part, which would hide it, at the same pixel
    assert (words.x / words.z, words.y / words.z) == pytest.approx((end.x / end.z, end.y / end.z))
    path = planner.wait_for_message("joint_path")
    assert path.header.frame_id == FRAME
    ends = [path.poses[i].pose.position for i in (0, -1)]
    start, shift = np.split(board.pokes(TURN)[0], 2)
    for end, true in zip(ends, (start, start + shift), strict=True):
        np.testing.assert_allclose([end.x, end.y, end.z], true, atol=0.01)
    turn = path.poses[-1].pose.orientation
    assert 2 * np.arccos(min(abs(turn.w), 1)) == pytest.approx(0.2, abs=0.05)
    # Where the next question gets no joint, that one is not shown any longer.
    shown = {topic: len(planner.received[topic]) for topic in ("joint", "joint_path")}
    one = asked(stamps[0], count=1)
    assert planner.call("fpt/predict_motion_3d", PredictMotion3D, one).error_code != ErrorCode.NONE
    [deleted] = planner.wait_for_message("joint", shown["joint"]).markers
    assert deleted.action == Marker.DELETEALL
    assert not planner.wait_for_message("joint_path", shown["joint_path"]).poses


def test_what_is_wrong_with_a_request_is_named(looking):
    planner, (stamp, _) = looking
    image = Image(encoding="rgb8", height=1, width=1, step=3, data=[1, 2, 3])
    black = mask_to_message(np.zeros((240, 320), bool), Header())
    wrong = {
        "kind is 1": {"kind": Joint.FIXED},
        "poke_spread is -1.0": {"poke_spread": -1.0},
        "pokes_3d has 5 entries": {"pokes_3d": floats([1, 2, 3, 4, 5])},
        "pokes_3d[0] is": {"pokes_3d": floats([1, 2, float("nan"), 4, 5, 6])},
        "up is": {"up": Vector3(x=float("inf"))},
        "mask: encoding is 'rgb8'": {"mask": image},
        "mask is 0 everywhere": {"mask": black},
        "pokes_3d_header: ": {
            "pokes_3d_header": Header(frame_id="nowhere"),
            "pokes_3d": floats([0, 0, 1, 0.1, 0, 0]),
        },
    }
    for text, fields in wrong.items():
        request = asked(stamp, **fields)
        answer = planner.call("fpt/predict_motion_3d", PredictMotion3D, request)
        assert answer.error_code == ErrorCode.INVALID_REQUEST, text
        assert text in answer.error_msg


@pytest.mark.skipif(
    importlib.util.find_spec("tf2_ros") is None, reason="tf2_ros is not installed (no wheels)"
)
def test_pokes_of_another_frame_go_through_tf(looking):
    """In a frame that is turned about x and shifted against the camera's."""
    from geometry_msgs.msg import Transform, TransformStamped, Vector3
    from tf2_msgs.msg import TFMessage

    planner, (stamp, _) = looking
    pokes = board.pokes(TURN)
    turn, shift = rotation_matrix(np.sin(0.6), 0, 0, np.cos(0.6)), np.array([0.3, -0.1, 0.2])
    known = TransformStamped(
        header=Header(frame_id="base"),
        child_frame_id=FRAME,
        transform=Transform(
            translation=Vector3(**dict(zip("xyz", shift, strict=True))), rotation=quaternion(turn)
        ),
    )
    publisher = planner.node.create_publisher(TFMessage, "/tf_static", LATCHED)
    publisher.publish(TFMessage(transforms=[known]))
    in_base = np.hstack([pokes[:, :3] @ turn.T + shift, pokes[:, 3:] @ turn.T])
    with MotionClient(planner.node) as client:
        asked_of = {"mask": board.mask(), "stamp": stamp}
        expected = client.predict_3d(pokes_3d=pokes, **asked_of)
        found = client.predict_3d(pokes_3d=in_base, frame_id="base", **asked_of)
    np.testing.assert_allclose(found.means, expected.means, atol=2e-4)
    np.testing.assert_allclose(found.joints[0].axis, expected.joints[0].axis, atol=1e-3)


def test_one_poke_is_refused_with_what_it_might_be(looking):
    planner, (stamp, _) = looking
    answer = planner.call("fpt/predict_motion_3d", PredictMotion3D, asked(stamp, count=1))
    assert answer.error_code == ErrorCode.INVALID_REQUEST
    assert "one poke" in answer.error_msg
    assert {Joint.PRISMATIC, Joint.REVOLUTE} <= {joint.kind for joint in answer.joints}
    assert answer.joints[0].flags & Joint.ONE_POKE


def test_the_client_predicts_and_observes(looking):
    planner, (before, after) = looking
    pokes_3d = board.pokes(TURN)
    with MotionClient(planner.node) as client:
        motion = client.predict_3d(pokes_3d=pokes_3d, mask=board.mask(), stamp=before)
        assert motion.joints[0].kind == JointKind.REVOLUTE
        assert motion.means.shape == motion.positions.shape
        assert motion.covariances.shape == (len(motion.means), 3, 3)
        rotation, shift = TURN
        true = motion.positions @ (rotation - np.eye(3)).T + shift
        assert np.median(np.linalg.norm(motion.means - true, axis=1)) < 0.005
        assert np.allclose(motion.covariances, motion.covariances.swapaxes(1, 2))
        turned = motion.joints[0].move(motion.positions, motion.joints[0].travel)
        assert np.allclose(turned, motion.means, atol=1e-3)
        with pytest.raises(NoJointError, match="one poke") as caught:
            client.predict_3d(board.in_pixels(pokes_3d[:1]), stamp=before)
        assert caught.value.joints
        with pytest.raises(ValueError, match="at least 1 poke"):
            client.predict_3d(stamp=before)
        seen = client.observe(before, board.in_pixels(pokes_3d[:1]), stamp_after=after)
        assert (seen.reason, seen.joints[0].kind) == ("", JointKind.REVOLUTE)
        assert abs(seen.joints[0].axis @ board.TILT[:, 1]) > np.cos(np.radians(3))
        assert abs(seen.joints[0].travel) == pytest.approx(0.2, abs=0.03)
        assert len(seen.points) == len(seen.shifts) == len(seen.log_likelihood)
        assert np.isfinite(seen.surprise)
        with pytest.raises(MotionError, match="must be two images"):
            client.observe(before, (), stamp_after=before)


def test_wrong_depth_is_refused_once_and_2d_goes_on(looking):
    planner, (stamp, _) = looking
    before = int(planner.diagnostics()["messages refused"])
    wrong = depth_message(board.draw()[1], stamp, encoding="mono8")
    for _ in range(5):
        planner.publish("depth", wrong)
    planner.wait_for(
        lambda: int(planner.diagnostics()["messages refused"]) > before, what="a refused message"
    )
    assert "depth: encoding is 'mono8'" in str(planner.diagnostics())
    for _ in range(5):
        planner.publish("depth", wrong)
    assert planner.predict((10, 10, 5, 0), x=[1], y=[2]).error_code == ErrorCode.NONE
    assert int(planner.diagnostics()["messages refused"]) == before + 1


def test_millimetres_and_no_camera_yet(start_node):
    _, planner = start_node(autostart=True)
    pixels, _ = board.draw()
    stamp = planner.kept_image(pixels)
    answer = planner.call("fpt/predict_motion_3d", PredictMotion3D, asked(stamp))
    assert (answer.error_code, "camera_info" in answer.error_msg) == (ErrorCode.NO_IMAGE, True)
    request = ObserveMotion.Request(stamp_before=stamp, stamp_after=planner.kept_image(pixels))
    answer = planner.call("fpt/observe_motion", ObserveMotion, request)
    assert answer.error_code == ErrorCode.NO_IMAGE
    camera = board.CAMERA
    k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
    info = CameraInfo(width=camera.width, height=camera.height, k=k)
    stamp = see(planner, info, board.STILL, millimetres=True)
    answer = planner.call("fpt/predict_motion_3d", PredictMotion3D, asked(stamp))
    assert answer.error_code == ErrorCode.NONE, answer.error_msg
    assert answer.joints[0].kind == Joint.REVOLUTE


def test_the_example_of_the_document(tiny_checkpoint, tmp_path):
    """It runs as it stands there, but for the push, which is to be filled in."""
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "docs/3d.md").read_text(), re.DOTALL)
    node = NodeProcess("", tmp_path / "node.log", checkpoint=tiny_checkpoint, autostart=True)
    planner = Planner("")
    try:
        planner.wait_for(lambda: planner.state() == "active", 60, "the active state")
        camera = board.CAMERA
        k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
        info = CameraInfo(width=camera.width, height=camera.height, k=k)
        see(planner, info, board.STILL)
        pushed = 'def push(pokes):\n    print("PUSH", flush=True)\n    input()\n'
        code = re.sub(r"def push\(pokes\):\n.*?\n\n", pushed + "\n", code, flags=re.DOTALL)
        with subprocess.Popen(
            [sys.executable, "-c", "import rclpy; rclpy.init()\n" + code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as script:
            first = script.stdout.readline()
            see(planner, info, TURN)
            printed, errors = script.communicate("\n", timeout=60)
        assert first == "PUSH\n", errors
        assert script.returncode == 0, errors
        assert "REVOLUTE" in printed
        assert '<joint name="drawer" type="revolute">' in printed
    finally:
        planner.close()
        node.stop()
        print(node.log)
