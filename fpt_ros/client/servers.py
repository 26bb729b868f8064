# SPDX-License-Identifier: Apache-2.0
"""Which nodes offer a service and know this client, so that their answers arrive."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lifecycle_msgs.srv import GetState

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.client import Client
    from rclpy.node import Node
    from rclpy.task import Future

    Server = bytes | int
    """A node, by what its middleware calls it, or a number where that is not known."""

AGAIN = 0.5  # seconds after which a greeting is repeated


class Servers:
    """Tells which servers may be sent to. Only the client's thread calls the methods.

    Two that meet learn of each other one endpoint after the other, with Fast DDS over seconds. A
    server may receive requests before it knows where to send the answers, which are then lost
    (github.com/ros2/rmw_fastrtps/issues/842). So a node is greeted once when it appears: asked for
    its state until it answers. Endpoints become known in the order of their creation, and the
    greeting's was created last: a node that can answer it can answer everything.
    """

    def __init__(self, node: Node, get_state: str, on_greeted: Callable[[], None]) -> None:
        """To be made after all other clients; `on_greeted` is called when a node has answered."""
        self.get_state: Client = node.create_client(GetState, get_state)
        self._node = node
        self._on_greeted = on_greeted
        self._greeted: frozenset[Server] = frozenset()
        self._greetings: list[Future] = []
        self._last = 0.0

    def known(self, service: str) -> frozenset[Server]:
        """The servers that can be asked this. Others that appear are greeted."""
        there = self._there(self.get_state.srv_name)
        if not there:  # there is nobody to greet, as where single services are remapped
            return self._there(service)
        self._greeted &= there
        if there - self._greeted and time.monotonic() - self._last > AGAIN:
            self._greet(there)
        return self._greeted

    def rest(self) -> None:
        """Nobody asks anything for now."""
        for greeting in self._greetings:
            self.get_state.remove_pending_request(greeting)
        self._greetings.clear()
        self._last = 0.0

    def _there(self, service: str) -> frozenset[Server]:
        """The servers of a service: with DDS those who write its answers, else only how many."""
        answers = f"rr{service}Reply"
        writers = self._node.get_publishers_info_by_topic(answers, no_mangle=True)
        if writers:
            return frozenset(bytes(writer.endpoint_gid) for writer in writers)
        return frozenset(range(self._node.count_services(service)))

    def _greet(self, there: frozenset[Server]) -> None:
        if not self.get_state.service_is_ready():
            return
        self._last = time.monotonic()

        def on_answer(_: Future) -> None:
            self._greeted |= there
            self.rest()
            self._on_greeted()

        greeting = self.get_state.call_async(GetState.Request())
        self._greetings.append(greeting)
        greeting.add_done_callback(on_answer)
