"""Which client sent a request, and whether it is still there.

rclpy does not say who sent a request, but a service's introspection (metadata only) does: its
events name the client and the time. An action of Jazzy has none: there, and until the event has
come, every client that was there when the request came may have sent it.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any

from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.qos import HistoryPolicy, QoSProfile
from rclpy.service_introspection import ServiceIntrospectionState
from rclpy.time import Time

if TYPE_CHECKING:
    from rclpy.service import Service

    from fpt_ros.ros.node import FptNode

ALL = QoSProfile(history=HistoryPolicy.KEEP_ALL)
REMEMBERED = 100  # requests whose event has not come
GRACE = Duration(seconds=1)  # in which a client must become known that is new


@dataclasses.dataclass
class Sender:
    """Of one request."""

    service: str
    clients: set[bytes]
    """Identities of those that may have sent it; empty if they are unknown."""
    seen: Time
    """When the request's callback was called."""


class Senders:
    """Tells for each request whether its sender is gone."""

    def __init__(self, node: FptNode) -> None:
        self._node = node
        self._clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._unsure: dict[str, deque[Sender]] = defaultdict(lambda: deque(maxlen=REMEMBERED))

    def watch(self, name: str, service: Service, event_type: type) -> None:
        """From now on, learn who sends requests to this service; `event_type` is its type's."""

        def on_event(event: Any) -> None:
            if event.info.event_type == event.info.REQUEST_RECEIVED:
                self._attribute(name, event.info)

        topic = f"{service.service_name}/_service_event"
        self._node.create_subscription(event_type, topic, on_event, ALL)
        service.configure_introspection(self._clock, ALL, ServiceIntrospectionState.METADATA)

    def note(self, service: str) -> Sender:
        """The sender of the request that has just come."""
        sender = Sender(service, self._present(service), self._clock.now())
        self._unsure[service].append(sender)
        return sender

    def gone(self, sender: Sender) -> bool:
        """Whether nobody is there any more who may have sent the request."""
        if self._clock.now() - sender.seen < GRACE:
            return False
        if not self._node.count_clients(sender.service):
            return True
        return bool(sender.clients) and sender.clients.isdisjoint(self._present(sender.service))

    def _attribute(self, service: str, info: Any) -> None:
        """A request is received, which makes the event, before its callback is called."""
        received = Time.from_msg(info.stamp, clock_type=ClockType.STEADY_TIME)
        unsure = self._unsure[service]
        while unsure:
            sender = unsure.popleft()
            if sender.seen >= received:
                client = bytes(info.client_gid)
                if client in self._present(service):  # not every middleware names them alike
                    sender.clients = {client}
                return

    def _present(self, service: str) -> set[bytes]:
        """The service's clients, by what reads its answers; none unless the middleware is DDS."""
        topic = f"rr{self._node.resolve_service_name(service)}Reply"
        endpoints = self._node.get_subscriptions_info_by_topic(topic, no_mangle=True)
        return {bytes(endpoint.endpoint_gid) for endpoint in endpoints}
