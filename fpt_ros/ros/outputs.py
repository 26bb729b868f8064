# SPDX-License-Identifier: Apache-2.0
"""What the node publishes: the motion, and pictures of it for those who listen."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from nav_msgs.msg import Path
from rclpy.clock import Clock, ClockType
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from visualization_msgs.msg import MarkerArray

from fpt_ros.drawing import draw_motion
from fpt_ros.images import ImageError
from fpt_ros.msg import ModelInfo, MotionDistributions
from fpt_ros.ros.conversions import (
    flow_to_message,
    motion_to_message,
    rgb_to_message,
    seconds_to_duration,
)
from fpt_ros.ros.joints import joint_markers, joint_path, no_joint_markers
from fpt_ros.ros.markers import motion_markers
from fpt_ros.ros.qos import advertise

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from jaxtyping import Float
    from rclpy.lifecycle import LifecycleNode
    from sensor_msgs.msg import CameraInfo
    from std_msgs.msg import Header

    from fpt_ros.engine.frames import Frame
    from fpt_ros.engine.motion import Motion
    from fpt_ros.geometry import Joint
    from fpt_ros.inference.model_info import ModelInfo as LoadedModel

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# What holds until the next prediction: who asks for transient local gets it when they come.
HOLDS = QoSProfile(depth=5, durability=DurabilityPolicy.TRANSIENT_LOCAL)
TYPES = {
    "motion": (MotionDistributions, HOLDS),
    "flow": (Image, LATCHED),
    "overlay": (Image, LATCHED),
    "markers": (MarkerArray, LATCHED),
    "joint": (MarkerArray, LATCHED),
    "joint_path": (Path, LATCHED),
}
INFO = "~/model_info"
STEADY = Clock(clock_type=ClockType.STEADY_TIME)
LOOK_FOR_READERS = 0.5
"""Seconds within which a new reader of pictures is served."""
REPEAT = 5.0
"""Seconds after which markers are sent again: their lifetime is a little longer."""


class Prediction(NamedTuple):
    """What the pictures are drawn from."""

    motion: Motion
    frame: Frame
    info: CameraInfo | None


class Outputs:
    """The publishers of one configured node. The engine's thread may publish at any time.

    All but `~/model_info` are lifecycle publishers: without effect while the node is inactive.
    """

    def __init__(self, node: LifecycleNode) -> None:
        """ValueError for a quality of service that is not allowed; nothing is left then."""
        self._node = node
        # Held while publishing, so that no publisher is destroyed under the engine's hands.
        self._lock = threading.Lock()
        self._publishers: dict[str, Any] = {}
        self._latest: Prediction | None = None
        self._sent: dict[str, float] = {}
        """When each picture of the latest prediction was published."""
        self._readers: dict[str, int] = {}
        try:
            for topic, (message_type, qos) in TYPES.items():
                create = node.create_lifecycle_publisher
                self._publishers[topic] = advertise(create, node, message_type, topic, qos)
            create = node.create_publisher
            self._publishers[INFO] = advertise(create, node, ModelInfo, INFO, LATCHED)
        except ValueError:
            self.close()
            raise
        self._timer = node.create_timer(LOOK_FOR_READERS, self._serve_late_readers, clock=STEADY)

    def close(self) -> None:
        """Destroy the publishers; publishing is without effect from here on."""
        if hasattr(self, "_timer"):
            self._node.destroy_timer(self._timer)
        with self._lock:
            self._latest = None
            for publisher in self._publishers.values():
                self._node.destroy_lifecycle_publisher(publisher)
            self._publishers.clear()

    def wanted(self, topic: str) -> bool:
        """Whether anybody listens."""
        with self._lock:
            publisher = self._publishers.get(topic)
            return publisher is not None and publisher.get_subscription_count() > 0

    def publish_motion(self, motion: Motion, frame: Frame) -> None:
        self._publish("motion", motion_to_message(motion, frame.header))

    def publish_flow(self, motion: Motion, frame: Frame) -> None:
        """`motion` must be on a grid."""
        self._publish("flow", flow_to_message(motion.flow, frame.header))

    def publish_joint(
        self, joint: Joint | None, handle: Float[np.ndarray, " 3"], header: Header
    ) -> None:
        """The joint, and where a point of the part goes along it; None deletes what was shown."""
        if joint is None:
            markers, path = no_joint_markers(header), Path(header=header)
        else:
            markers, path = joint_markers(joint, handle, header), joint_path(joint, handle, header)
        self._publish("joint", markers)
        self._publish("joint_path", path)

    def publish_pictures(self, motion: Motion, frame: Frame, info: CameraInfo | None) -> None:
        """Overlay and markers, each only if somebody listens; others get them when they come."""
        latest = Prediction(motion, frame, info)
        with self._lock:
            self._latest, self._sent = latest, {}
        for topic in DRAWN:
            if self.wanted(topic):
                self._draw(topic, latest)

    def _draw(self, topic: str, prediction: Prediction) -> None:
        picture = DRAWN[topic](prediction)
        with self._lock:
            if self._latest is not prediction:  # meanwhile there is a newer one
                return
            self._sent[topic] = time.monotonic()
            self._publishers[topic].publish(picture)

    def _serve_late_readers(self) -> None:
        """Draw for readers that came after the prediction, and repeat markers before they expire.

        In the executor's thread: a picture takes some milliseconds.
        """
        with self._lock:
            readers = {
                topic: publisher.get_subscription_count()
                for topic, publisher in self._publishers.items()
                if topic in DRAWN and publisher.is_activated
            }
            if not readers:  # inactive: what was predicted does not hold any more
                self._latest = None
            before, self._readers = self._readers, readers
            latest = self._latest
        if latest is None:
            return
        for topic, count in readers.items():
            age = time.monotonic() - self._sent.get(topic, -REPEAT)
            new = count > before.get(topic, 0)
            if count and (new or topic not in self._sent or (topic == "markers" and age > REPEAT)):
                self._draw(topic, latest)

    def publish_model_info(self, info: LoadedModel) -> None:
        message = ModelInfo(
            checkpoint=info.checkpoint,
            sha256=info.sha256,
            license=info.license,
            device=str(info.device),
            dtype=str(info.dtype),
            horizon=seconds_to_duration(info.horizon),
            components=info.components,
            view_size=info.view_size,
            parameters=info.parameters,
        )
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publish(INFO, message)

    def _publish(self, topic: str, message: Any) -> None:
        with self._lock:
            publisher = self._publishers.get(topic)
            if publisher is not None:
                publisher.publish(message)


def _overlay(prediction: Prediction) -> Image:
    motion, frame, _ = prediction
    picture = draw_motion(
        frame.rgb,
        motion.pokes,
        motion.points,
        motion.weights,
        motion.means,
        motion.covariances,
        motion.grid,
    )
    return rgb_to_message(picture, frame.header)


def _markers(prediction: Prediction) -> MarkerArray:
    motion, frame, info = prediction
    return motion_markers(motion, frame.header, info, _depth_of(frame))


def _depth_of(frame: Frame) -> Float[np.ndarray, "h w"] | None:
    """Metres at each pixel of the frame; None where there is no depth, or none that fits."""
    depth = getattr(frame, "depth", None)  # only where the engine takes depth
    if depth is None:
        return None
    try:
        metres = depth.metres
    except ImageError:
        return None
    fits: bool = metres.shape == frame.rgb.shape[:2]
    return metres if fits else None


DRAWN: dict[str, Callable[[Prediction], Any]] = {"overlay": _overlay, "markers": _markers}
"""Pictures, which are drawn only for those who listen."""
