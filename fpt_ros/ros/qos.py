# SPDX-License-Identifier: Apache-2.0
"""Publishers and subscriptions whose quality of service a user can override by parameters.

Such as `qos_overrides./camera/image.subscription.reliability: reliable`.
"""

from __future__ import annotations

from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Any

from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rclpy.callback_groups import CallbackGroup
    from rclpy.node import Node
    from rclpy.publisher import Publisher
    from rclpy.subscription import Subscription

CHOICES = {
    "history": HistoryPolicy,
    "reliability": ReliabilityPolicy,
    "durability": DurabilityPolicy,
}
KINDS = [QoSPolicyKind.DEPTH, *(QoSPolicyKind[policy.upper()] for policy in CHOICES)]
OVERRIDES = QoSOverridingOptions(KINDS)


def subscribe(
    node: Node,
    kind: type,
    topic: str,
    callback: Callable[[Any], None],
    qos: QoSProfile,
    group: CallbackGroup | None,
) -> Subscription:
    """A subscription; ValueError for an override that is not allowed."""
    with _overrides_named(node, topic, "subscription"):
        return node.create_subscription(
            kind,
            topic,
            callback,
            copy(qos),  # overrides are written into it
            callback_group=group,
            qos_overriding_options=OVERRIDES,
        )


def advertise(
    create_publisher: Callable[..., Publisher], node: Node, kind: type, topic: str, qos: QoSProfile
) -> Publisher:
    """A publisher made by one of the node's methods; ValueError as subscribe."""
    with _overrides_named(node, topic, "publisher"):
        return create_publisher(kind, topic, copy(qos), qos_overriding_options=OVERRIDES)


def unused_overrides(node: Node) -> list[str]:
    """What is wrong with each override that none of the node's topics has taken.

    No error, as a parameters file for all nodes (`/**`) may hold those of others. To be called when
    all topics are there.
    """
    # The only place where parameters lie that nobody declared.
    given = [name for name in node._parameter_overrides if name.startswith("qos_overrides.")]
    used = {name.rpartition(".")[0] for name in node.get_parameters_by_prefix("qos_overrides")}
    return [
        f"parameter {name} has no effect: must be qos_overrides.TOPIC.POLICY, where TOPIC is one "
        f"of {', '.join(sorted(used))} and POLICY one of depth, {', '.join(CHOICES)}"
        for name in given
        if not node.has_parameter(name)
    ]


@contextmanager
def _overrides_named(node: Node, topic: str, kind: str) -> Iterator[None]:
    """Say which parameter is wrong and what it may be; rclpy names the policy and value only."""
    try:
        yield
    except Exception as error:
        for policy, choices in CHOICES.items():
            name = f"qos_overrides.{node.resolve_topic_name(topic)}.{kind}.{policy}"
            allowed = [choice.name.lower() for choice in choices if choice.name != "UNKNOWN"]
            value = node.get_parameter(name).value if node.has_parameter(name) else allowed[0]
            if str(value).lower() not in allowed:
                reason = f"parameter {name} is '{value}': must be one of {', '.join(allowed)}"
                raise ValueError(f"{reason}; it is read when the node starts") from error
        raise ValueError(f"{topic}: {error}") from error
