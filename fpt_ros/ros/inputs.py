"""What an active node subscribes to. Callbacks only store, or hand over to the worker."""

from __future__ import annotations

import functools
from copy import copy
from typing import TYPE_CHECKING

from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from fpt_ros.images import ImageError
from fpt_ros.msg import PokeArray, QueryPoints
from fpt_ros.ros.frames import Frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from fpt_ros.inference.steps import Steps
    from fpt_ros.ros.node import FptNode
    from fpt_ros.ros.predictions import Predictions
    from fpt_ros.ros.worker import Worker

NEWEST_ONLY = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(depth=10)


class Inputs:
    """The subscriptions of one activation."""

    def __init__(self, node: FptNode, worker: Worker, predictions: Predictions) -> None:
        self._node, self._worker, self._predictions = node, worker, predictions
        self.image_topic = node.resolve_topic_name("image")
        # By the convention of image_transport, the camera's facts lie next to its image.
        camera_info_topic = self.image_topic.rpartition("/")[0] + "/camera_info"
        image_type: type = Image
        if node.settings.image_transport == "compressed":
            self.image_topic, image_type = f"{self.image_topic}/compressed", CompressedImage
        self._subscriptions = [
            node.create_subscription(
                message_type,
                topic,
                callback,
                copy(qos),  # overrides are written into it
                qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            )
            for message_type, topic, callback, qos in (
                (image_type, self.image_topic, self._on_image, NEWEST_ONLY),
                (CameraInfo, camera_info_topic, self._on_camera_info, NEWEST_ONLY),
                (PokeArray, "pokes", self._on_pokes, RELIABLE),
                (QueryPoints, "query_points", self._on_query_points, RELIABLE),
            )
        ]

    def close(self) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _on_image(self, message: Image | CompressedImage) -> None:
        self._node.statistics.count("images")
        try:
            frame = Frame(message, self._node.reading)
        except ImageError as error:
            self._node.refuse(f"image: {error}")
            return
        if frame.key == (0, 0):
            self._node.get_logger().warning(
                "images come without a stamp: results cannot be told apart by it", once=True
            )
        self._node.frames.add(frame)
        if self._node.settings.trigger != "pokes":
            self._hand_over(self._predictions.take_image, "image")

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._predictions.camera_info = message

    def _on_pokes(self, message: PokeArray) -> None:
        self._hand_over(functools.partial(self._predictions.take_pokes, message), "pokes")

    def _on_query_points(self, message: QueryPoints) -> None:
        # First, so that pokes sent after these points, and waiting, are predicted with them.
        job = functools.partial(self._predictions.take_points, message)
        self._worker.submit(job, slot="query_points", first=True)

    def _hand_over(self, job: Callable[[], Steps[None]], slot: str) -> None:
        """Only the newest of its slot is computed, however slow the worker is."""
        if self._worker.submit(job, slot):
            self._node.statistics.count("dropped")
