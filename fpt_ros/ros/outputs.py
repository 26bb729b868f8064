# SPDX-License-Identifier: Apache-2.0
"""What the node publishes: the motion, and pictures of it for those who listen."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from visualization_msgs.msg import MarkerArray

from fpt_ros.drawing import draw_motion
from fpt_ros.msg import ModelInfo, MotionDistributions
from fpt_ros.ros.conversions import (
    flow_to_message,
    motion_to_message,
    rgb_to_message,
    seconds_to_duration,
)
from fpt_ros.ros.markers import motion_markers
from fpt_ros.ros.qos import advertise

if TYPE_CHECKING:
    from rclpy.lifecycle import LifecycleNode
    from sensor_msgs.msg import CameraInfo

    from fpt_ros.engine.frames import Frame
    from fpt_ros.engine.motion import Motion
    from fpt_ros.inference.model_info import ModelInfo as LoadedModel

RELIABLE = QoSProfile(depth=5)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
TYPES = {
    "motion": (MotionDistributions, RELIABLE),
    "flow": (Image, RELIABLE),
    "overlay": (Image, RELIABLE),
    "markers": (MarkerArray, RELIABLE),
}


INFO = "~/model_info"


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
        try:
            for topic, (message_type, qos) in TYPES.items():
                create = node.create_lifecycle_publisher
                self._publishers[topic] = advertise(create, node, message_type, topic, qos)
            create = node.create_publisher
            self._publishers[INFO] = advertise(create, node, ModelInfo, INFO, LATCHED)
        except ValueError:
            self.close()
            raise

    def close(self) -> None:
        """Destroy the publishers; publishing is without effect from here on."""
        with self._lock:
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

    def publish_pictures(self, motion: Motion, frame: Frame, info: CameraInfo | None) -> None:
        """Overlay and markers, each only if somebody listens."""
        if self.wanted("overlay"):
            picture = draw_motion(
                frame.rgb,
                motion.pokes,
                motion.points,
                motion.weights,
                motion.means,
                motion.covariances,
                motion.grid,
            )
            self._publish("overlay", rgb_to_message(picture, frame.header))
        if self.wanted("markers"):
            self._publish("markers", motion_markers(motion, frame.header, info))

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
