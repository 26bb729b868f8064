# SPDX-License-Identifier: Apache-2.0
"""A small planner's side of the node's topics: shows it images, sends pokes, takes the answers."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

import rclpy
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image

from fpt_ros.msg import MotionDistributions, Poke, PokeArray, QueryPoints
from fpt_ros.ros.conversions import floats

if TYPE_CHECKING:
    from collections.abc import Callable

    from fpt_ros.apps.scenes import Push

ATTEMPTS, PATIENCE = 3, 10.0  # seconds for each attempt


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the node published for one push."""

    pokes: PokeArray
    motion: MotionDistributions
    overlay: Image
    flow: Image
    seconds: float
    """Between sending the pokes and the arrival of the motion."""


class Planner:
    """Publishers and subscriptions in the node's namespace."""

    def __init__(self, namespace: str) -> None:
        self.node = Node("planner", namespace=namespace)
        create = self.node.create_publisher
        self._images = create(CompressedImage, "image/compressed", qos_profile_sensor_data)
        self._points = create(QueryPoints, "query_points", 1)
        self._pokes = create(PokeArray, "pokes", 1)
        self._newest: dict[str, tuple[Any, float]] = {}
        for name, kind in (("motion", MotionDistributions), ("overlay", Image), ("flow", Image)):
            self.node.create_subscription(kind, name, self._keeper(name), 5)

    def _keeper(self, name: str) -> Callable[[Any], None]:
        def keep(message: Any) -> None:
            self._newest[name] = (message, time.monotonic())

        return keep

    def node_is_active(self) -> bool:
        """Whether the node listens to images and pokes, which it does while it is active."""
        publishers = (self._images, self._points, self._pokes)
        return all(publisher.get_subscription_count() for publisher in publishers)

    def show(self, frame: CompressedImage) -> None:
        """Publish an image, stamped now, as a camera would."""
        frame.header.stamp = self.node.get_clock().now().to_msg()
        self._images.publish(frame)

    def ask(self, frame: CompressedImage, push: Push) -> Answer:
        """Send a push and wait for what the node says of it.

        Images travel best effort, so one may be lost: it is then shown and asked about again.

        Raises:
            TimeoutError: no answer.
        """
        for _ in range(ATTEMPTS):
            self.show(frame)
            self.spin_for(0.1)
            answer = self._ask_once(frame, push)
            if answer is not None:
                return answer
        raise TimeoutError(f"no motion for {push.title!r} within {ATTEMPTS} x {PATIENCE} s")

    def _ask_once(self, frame: CompressedImage, push: Push) -> Answer | None:
        self._newest.clear()
        x, y = push.points.T
        self._points.publish(QueryPoints(header=frame.header, x=floats(x), y=floats(y)))
        keys = ("x", "y", "dx", "dy")
        poke = Poke(**dict(zip(keys, push.poke.tolist(), strict=True)))
        pokes = PokeArray(header=frame.header, pokes=[poke])
        sent = time.monotonic()
        self._pokes.publish(pokes)
        while time.monotonic() < sent + PATIENCE:
            rclpy.spin_once(self.node, timeout_sec=0.1)
            if len(self._newest) == 3 and self._fits(frame, len(x)):
                (motion, arrived), (overlay, _), (flow, _) = (
                    self._newest[name] for name in ("motion", "overlay", "flow")
                )
                return Answer(pokes, motion, overlay, flow, arrived - sent)
        return None

    def _fits(self, frame: CompressedImage, points: int) -> bool:
        """Whether all that has arrived is about this image and these points."""
        messages = [message for message, _ in self._newest.values()]
        same = all(message.header.stamp == frame.header.stamp for message in messages)
        return same and len(self._newest["motion"][0].x) == points

    def spin_for(self, seconds: float) -> None:
        """Serve callbacks for a while."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            rclpy.spin_once(self.node, timeout_sec=left)
