"""Which servers are there and know this client, so that their answers arrive."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from lifecycle_msgs.srv import GetState

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.client import Client
    from rclpy.node import Node
    from rclpy.task import Future

AGAIN = 0.5  # seconds after which a greeting is repeated
RESTED = 1.0  # seconds without a look after which a node may be a new one


class Servers:
    """Counts the servers that may be sent to. Only the client's thread calls the methods.

    Two that meet learn of each other one endpoint after the other, with Fast DDS over seconds. A
    server may receive requests before it knows where to send the answers, which are then lost
    (github.com/ros2/rmw_fastrtps/issues/842). So a new node is first greeted: asked for its state
    until it answers. Endpoints become known in the order of their creation, and the greeting's
    was created last: a node that can answer it can answer everything.
    """

    def __init__(self, node: Node, get_state: str, on_known: Callable[[], None]) -> None:
        """To be made after all other clients; `on_known` is called when a node has answered."""
        self.get_state: Client = node.create_client(GetState, get_state)
        self._node = node
        self._on_known = on_known
        self._knowing: dict[str, int] = {}  # how many servers of each service know this client
        self._greetings: list[Future] = []
        self._greeted = -math.inf
        self._resting_since = math.inf

    def knowing(self, service: str) -> int:
        """How many servers of the service know this client. Others that are there are greeted."""
        now = time.monotonic()
        if now - self._resting_since > RESTED:
            self._knowing.clear()
        self._resting_since = math.inf
        there = self._node.count_services(service)
        if not self._node.count_services(self.get_state.srv_name):
            return there  # there is nobody to greet, as where single services are remapped
        knowing = self._knowing[service] = min(there, self._knowing.get(service, 0))
        if knowing < there and now - self._greeted > AGAIN and self.get_state.service_is_ready():
            self._greeted = now
            self._greet()
        return knowing

    def rest(self) -> None:
        """Nobody asks anything for now."""
        self._end_greetings()
        self._resting_since = time.monotonic()

    def _greet(self) -> None:
        there = {service: self._node.count_services(service) for service in self._knowing}

        def on_answer(_: Future) -> None:
            self._knowing.update(there)
            self._end_greetings()
            self._on_known()

        greeting = self.get_state.call_async(GetState.Request())
        self._greetings.append(greeting)
        greeting.add_done_callback(on_answer)

    def _end_greetings(self) -> None:
        for greeting in self._greetings:
            self.get_state.remove_pending_request(greeting)
        self._greetings.clear()
        self._greeted = -math.inf
