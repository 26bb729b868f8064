# SPDX-License-Identifier: Apache-2.0
"""Why no image comes, or not all of them, as far as graph and stamps tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from rclpy.qos import QoSCompatibility, qos_check_compatible

from fpt_ros.ros.cameras import image_topics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rclpy.node import Node
    from rclpy.subscription import Subscription

PATIENCE = 3.0  # seconds without an image after which the reason is looked for
MIN_STEPS = 20  # between images, to judge by
MAX_JITTER = 0.15  # mean share of a period
MAX_LOST = 0.3  # share of the images
IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"


def image_problem(
    node: Node, subscription: Subscription, stamps: Sequence[float], waited: float
) -> str:
    """Why no image came in the last `waited` seconds, or not all did; empty if all is well.

    Args:
        stamps: of the last images [s].
    """
    return why_no_image(node, subscription) if waited > PATIENCE else lost_images(stamps)


def why_no_image(node: Node, subscription: Subscription) -> str:
    """What keeps images from this subscription; says so if nothing is seen that does."""
    topic, wanted = subscription.topic_name, _type_name(subscription.msg_type)
    publishers = node.get_publishers_info_by_topic(topic)
    if not publishers:
        return f"nobody publishes {topic}{_instead(node, topic)}"
    fitting = [publisher for publisher in publishers if publisher.topic_type == wanted]
    if not fitting:
        found = publishers[0].topic_type
        transports = {IMAGE: "raw", COMPRESSED: "compressed"}
        cure = f": set image_transport to {transports[found]}" if found in transports else ""
        return f"{topic} has the type {found}, must be {wanted}{cure}"
    for publisher in fitting:
        judged, reason = qos_check_compatible(publisher.qos_profile, subscription.qos_profile)
        if judged != QoSCompatibility.ERROR:
            return (
                f"{topic} is published by {publisher.node_name}, but nothing arrives: the camera "
                "sends nothing, or its images are larger than the middleware's shared memory "
                '(README.md, "If images do not arrive")'
            )
    return (
        f"{topic} is published by {fitting[0].node_name} with a quality of service that does not "
        f"fit ({reason}): override it by parameters qos_overrides.{topic}.subscription..."
    )


def lost_images(stamps: Sequence[float]) -> str:
    """Whether images are lost on their way: their stamps [s] then skip. Empty if they do not.

    Only a regular camera is judged, whose stamps are multiples of its period apart.
    """
    steps = np.diff(stamps)
    if len(steps) < MIN_STEPS or (steps <= 0).any():
        return ""
    period = np.median(steps[steps < 1.5 * np.quantile(steps, 0.1)])
    periods = np.rint(steps / period)
    regular = np.abs(steps / period - periods).mean() < MAX_JITTER
    sent = periods.sum()
    if not regular or len(steps) > (1 - MAX_LOST) * sent:
        return ""
    return (
        f"{len(steps)} of about {sent:.0f} images arrive: best-effort images that are larger than "
        "the middleware's shared memory are lost. Give camera and node more of it, or use "
        'image_transport compressed (README.md, "If images do not arrive")'
    )


def _instead(node: Node, topic: str) -> str:
    """The image topics that there are."""
    others = {*image_topics(node, "raw"), *image_topics(node, "compressed")} - {topic}
    return f"; image topics are {', '.join(sorted(others))}: remap image" if others else ""


def _type_name(message_type: Any) -> str:
    package = message_type.__module__.partition(".")[0]
    return f"{package}/msg/{message_type.__name__}"
