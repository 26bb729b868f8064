"""Why no image comes, as far as the graph of nodes and topics tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rclpy.qos import QoSCompatibility, qos_check_compatible

if TYPE_CHECKING:
    from rclpy.node import Node
    from rclpy.subscription import Subscription

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"


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


def _instead(node: Node, topic: str) -> str:
    """The image topics that there are."""
    others = [
        name
        for name, types in node.get_topic_names_and_types()
        if name != topic
        and {IMAGE, COMPRESSED} & set(types)
        and any(
            (other.node_namespace, other.node_name) != (node.get_namespace(), node.get_name())
            for other in node.get_publishers_info_by_topic(name)
        )
    ]
    return f"; image topics are {', '.join(sorted(others))}: remap image" if others else ""


def _type_name(message_type: Any) -> str:
    package = message_type.__module__.partition(".")[0]
    return f"{package}/msg/{message_type.__name__}"
