# SPDX-License-Identifier: Apache-2.0
"""The node fpt_poke: what is clicked and dragged becomes pokes, and the picture is shown."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
from geometry_msgs.msg import Point, PointStamped
from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import Header
from visualization_msgs.msg import InteractiveMarkerFeedback

from fpt_ros.engine.settings import Settings
from fpt_ros.images import ImageError
from fpt_ros.msg import MotionDistributions, PokeArray, QueryPoints
from fpt_ros.poke_tool import handles
from fpt_ros.poke_tool.camera_feed import CameraFeed
from fpt_ros.poke_tool.frames import Transforms
from fpt_ros.poke_tool.marker_server import MarkerServer
from fpt_ros.poke_tool.planning import PlanThread
from fpt_ros.poke_tool.session import Session
from fpt_ros.poke_tool.view import View
from fpt_ros.ros.conversions import floats, pokes_to_message

if TYPE_CHECKING:
    from fpt_ros.poke_tool.session import Pixel

STEADY = Clock(clock_type=ClockType.STEADY_TIME)
LOOK = 0.2  # seconds between looks at who listens, and whether a plan is there
PATIENCE = 2.0  # seconds without an answer after which the next pokes are sent all the same
TRIES = 3  # to have query points answered: the node may have refused them, or an old answer come
ALL = QoSProfile(depth=100)


class PokeNode(Node):
    """Clicks and handles in, pokes out; see docs/rviz.md for its topics."""

    def __init__(self) -> None:
        super().__init__("fpt_poke")
        transport = self._transport("image_transport", "compressed")
        depth_transport = self._transport("depth_image_transport", "compressedDepth")
        self._session = Session()
        self._pokes = self.create_publisher(PokeArray, "pokes", ALL)
        self._points = self.create_publisher(QueryPoints, "query_points", ALL)
        self._accepted = self.create_publisher(PokeArray, "~/accepted_pokes", ALL)
        self._view = View(self)
        self._transforms = Transforms(self)
        self._server = MarkerServer(self, "~/handles", self._on_feedback)
        self._plans = PlanThread(self)
        self._feed = CameraFeed(
            self, transport, depth_transport, self._depth_tolerance(), self._on_image
        )
        self._asked = -PATIENCE
        """When pokes were sent whose answer has not come yet."""
        self._changed = False
        self._points_tries = 0
        """How often pokes may be sent again, for query points that no prediction was of yet."""
        self._seen = Header()
        """Of the image behind the newest prediction: what the person has seen."""
        self._text = "right click: menu"
        self.create_subscription(PointStamped, "clicked_point", self._on_clicked_point, ALL)
        image = self.resolve_topic_name("image")
        for shown in {image, self.resolve_topic_name("overlay")}:
            self.create_subscription(Point, f"{shown}_mouse_left", self._on_mouse, ALL)
        self.create_subscription(MotionDistributions, "motion", self._on_motion, ALL)
        self.create_timer(LOOK, self._look, clock=STEADY)
        self.get_logger().info(f"waiting for an image on {self._feed.topic}")

    def _transport(self, parameter: str, compressed: str) -> str:
        """How images come: raw, or `compressed`; ValueError for anything else."""
        about = f"raw or {compressed}, as of the node fpt"
        descriptor = ParameterDescriptor(description=f"How images come: {about}", read_only=True)
        found = str(self.declare_parameter(parameter, "raw", descriptor).value)
        if found not in ("raw", compressed):
            raise ValueError(f"{parameter} is '{found}': must be raw or {compressed}")
        return found

    def _depth_tolerance(self) -> float:
        descriptor = ParameterDescriptor(
            description="Most that stamps of an image and its depth differ [s], as of the node fpt",
            read_only=True,
            floating_point_range=[FloatingPointRange(from_value=0.0, to_value=1.0)],
        )
        default = Settings().depth_tolerance
        return float(self.declare_parameter("depth_tolerance", default, descriptor).value or 0)

    def destroy_node(self) -> None:
        self._plans.close()
        super().destroy_node()

    # What comes in

    def _on_image(self) -> None:
        try:
            size, header = self._feed.size, self._feed.header
            if not header.frame_id:
                self.get_logger().warning("images have no frame_id: RViz cannot place them")
            self._session.see(size)
            self._view.announce_frame(header.frame_id, self._feed.surface.camera)
            if self._view.wanted and self._view.due:
                self._view.show(self._feed.rgb, self._feed.surface, header)
        except ImageError as error:
            self.get_logger().warning(f"image: {error}", throttle_duration_sec=5.0)

    def _on_clicked_point(self, clicked: PointStamped) -> None:
        """A point in space: of the cloud, or of anything else that RViz shows."""
        try:
            self._click(self._pixel_of(clicked))
        except (ValueError, ImageError) as error:
            self._say(f"clicked_point: {error}", warn=True)

    def _on_mouse(self, point: Point) -> None:
        """A pixel, as rqt_image_view sends it."""
        try:
            self._click((point.x, point.y))
        except ValueError as error:
            self._say(f"mouse click: {error}", warn=True)

    def _click(self, at: Pixel) -> None:
        self._say(self._session.click(at))
        if self._session.clicks_ask:
            self._send_points()
        if self._session.started is None:
            self._send()
        self._show_handles()

    def _pixel_of(self, clicked: PointStamped) -> Pixel:
        """ValueError for a point that the camera does not see."""
        if self._feed.header is None:
            raise ValueError("no image has arrived yet")
        if clicked.header.frame_id == self._view.frame:
            at = clicked.point
            point = self._view.to_optical(np.array([at.x, at.y, at.z]))
        else:
            point = self._transforms.point(clicked, self._feed.header.frame_id)
        x, y = self._feed.surface.camera.project(point[None])[0].tolist()
        if not np.isfinite((x, y)).all():
            raise ValueError("the point is not in front of the camera")
        return x, y

    def _on_feedback(self, feedback: InteractiveMarkerFeedback) -> None:
        try:
            if feedback.event_type == InteractiveMarkerFeedback.POSE_UPDATE:
                self._on_drag(feedback)
            elif feedback.event_type == InteractiveMarkerFeedback.MENU_SELECT:
                self._on_menu(feedback)
            elif feedback.event_type == InteractiveMarkerFeedback.MOUSE_UP:
                self._show_handles()  # on the surface again
        except (ValueError, ImageError) as error:
            self._say(f"{feedback.marker_name}: {error}", warn=True)

    def _on_drag(self, feedback: InteractiveMarkerFeedback) -> None:
        found = handles.poke_of(feedback.marker_name)
        if found is None:
            return
        index, part = found
        clicked = PointStamped(header=feedback.header, point=feedback.pose.position)
        to = self._pixel_of(clicked)
        if part == handles.START:
            self._session.move_start(index, to)
        else:
            self._session.move_end(index, to)
        if index < len(self._session.pokes):
            dx, dy = self._session.pokes[index][2:]
            self._text = f"poke {index + 1}: ({dx:.0f}, {dy:.0f}) pixels"
        self._send()
        self._show_handles(held=feedback.marker_name)

    def _on_menu(self, feedback: InteractiveMarkerFeedback) -> None:
        session, entry = self._session, feedback.menu_entry_id
        index = (handles.poke_of(feedback.marker_name) or (0, ""))[0]
        if entry == handles.ADD:
            session.add()
        elif entry == handles.REMOVE:
            session.remove(index)
        elif entry == handles.CLEAR:
            session.clear()
        elif entry == handles.PLAN and index < len(session.pokes):
            self._say(self._plans.start(session.pokes[index], self._feed.size))
        elif entry == handles.ACCEPT:
            self._accepted.publish(PokeArray(header=self._seen, pokes=self._message().pokes))
            self._say(f"{len(session.pokes)} pokes accepted")
        elif entry == handles.ASK:
            session.clicks_ask = not session.clicks_ask
            self._say(f"clicks set {'query points' if session.clicks_ask else 'pokes'}")
        elif entry == handles.FORGET:
            session.query_points.clear()
            self._send_points()
        if entry in (handles.ADD, handles.REMOVE, handles.CLEAR, handles.FORGET):
            self._send()
        self._show_handles()

    def _on_motion(self, motion: MotionDistributions) -> None:
        self._seen = motion.header
        self._asked = -PATIENCE
        # Two topics have no common order: pokes may have come before the points sent ahead of them.
        if self._is_of_points(motion):
            self._points_tries = 0
        elif self._points_tries:
            self._points_tries -= 1
            self._changed = True
        if self._changed:
            self._send()

    def _is_of_points(self, motion: MotionDistributions) -> bool:
        """Whether the points of a prediction are those that are set, or the grid if none is."""
        points = np.asarray(self._session.query_points, np.float32).reshape(-1, 2)
        if not len(points):
            return motion.grid_width > 0
        return np.array_equal(np.stack([motion.x, motion.y], 1), points)

    def _look(self) -> None:
        self._feed.want(self._view.wanted)
        if self._feed.header is not None:
            self._show_handles()
        if self._changed and time.monotonic() > self._asked + PATIENCE:
            self._send()
        plan = self._plans.take()
        if plan is not None:
            self._say(plan.text)
            if len(plan.pokes):
                self._session.replace(plan.pokes)
                self._send()
            self._show_handles()

    # What goes out

    def _send(self) -> None:
        """The pokes as they are; while an answer is awaited, once it is there."""
        self._changed = time.monotonic() < self._asked + PATIENCE
        if not self._changed:
            self._asked = time.monotonic()
            self._pokes.publish(self._message())

    def _message(self) -> PokeArray:
        """Without a stamp: the newest image is meant."""
        rows = np.asarray(self._session.pokes, np.float32).reshape(-1, 4)
        return PokeArray(pokes=pokes_to_message(rows))

    def _send_points(self) -> None:
        self._points_tries = TRIES
        points = np.asarray(self._session.query_points, np.float32).reshape(-1, 2)
        self._points.publish(QueryPoints(x=floats(points[:, 0]), y=floats(points[:, 1])))

    def _show_handles(self, held: str = "") -> None:
        try:
            made = handles.handles(
                self._session,
                self._feed.surface,
                self._feed.size,
                self._feed.header.frame_id,
                self._text,
            )
        except (ImageError, AttributeError):
            return
        self._server.show(made, held)

    def _say(self, text: str, warn: bool = False) -> None:
        """Beside the menu's handle and in the log."""
        self._text = text
        if warn:
            self.get_logger().warning(text)
        else:
            self.get_logger().info(text)
        self._show_handles()
