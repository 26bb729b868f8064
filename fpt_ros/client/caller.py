# SPDX-License-Identifier: Apache-2.0
"""A private node, and the thread that sends its requests and receives the answers."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from lifecycle_msgs.srv import GetState
from rclpy.action import ActionClient
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from fpt_ros.client.future import MotionFuture
from fpt_ros.client.pending import Pending
from fpt_ros.client.servers import Servers
from fpt_ros.client.timeouts import no_answer, no_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.context import Context

    from fpt_ros.client.calls import Call

T = TypeVar("T")
PERIOD = 0.05  # seconds between looks for servers and at deadlines
_numbers = itertools.count()


class Caller:
    """Sends calls and completes their futures, all in one thread of its own.

    So it does not matter which thread or callback asks, and what the user's executor does
    meanwhile.
    """

    def __init__(self, user: Node | None, context: Context | None) -> None:
        """`user` is the node whose context and names it shares; else all is as for a new node."""
        self._user = user
        name = f"_motion_client_{os.getpid()}_{next(_numbers)}"  # hidden: it starts with _
        self.node = Node(
            name,
            cli_args=["--ros-args", "-r", f"__node:={name}"],  # also in a process that renames
            namespace=user.get_namespace() if user is not None else None,
            context=user.context if user is not None else context,
            use_global_arguments=user is None,  # the user's node has applied them to the names
            enable_rosout=False,
            start_parameter_services=False,
        )
        self._context = self.node.context
        self._timer = self.node.create_timer(
            PERIOD, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._pending: set[Pending] = set()
        self._closing = self._ended = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="motion_client", daemon=True)

    def full_name(self, service: str) -> str:
        """Of a service or action, expanded and remapped."""
        return (self._user or self.node).resolve_service_name(service)

    def start(self, get_state: str) -> None:
        """To be called once all clients of `node` are made; the name is that of a service."""
        self._servers = Servers(self.node, self.full_name(get_state), self._look)
        self._thread.start()
        atexit.register(self.close)  # a thread that waits for messages then would end in a crash

    def close(self) -> None:
        """End the thread; what waits ends with a RuntimeError."""
        atexit.unregister(self.close)
        self._in_thread(self._stop)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def submit(self, call: Call, read: Callable[[Any], T], timeout: float) -> MotionFuture[T]:
        """Send a call once its server is there.

        The future ends with what `read` makes of the response or raises, TimeoutError after
        `timeout` seconds, ExternalShutdownException when rclpy is shut down, or RuntimeError when
        this is closed, each at once if it is so now.
        """
        future: MotionFuture[T] = MotionFuture(self._thread, self._user)
        pending = Pending(call, read, timeout, future)
        self._pending.add(pending)
        future.add_done_callback(lambda _: self._ended_call(pending))
        if not self._in_thread(self._send, pending):
            pending.fail(self._reason(call))
        return future

    def _ended_call(self, pending: Pending) -> None:
        self._pending.discard(pending)
        if not pending.answered or pending.state is not None:
            self._in_thread(self._clean_up, pending)

    def _in_thread(self, function: Callable[..., None], *arguments: Any) -> bool:
        with self._lock:
            if not self._ended:
                self._executor.create_task(function, *arguments)
            return not self._ended

    def _run(self) -> None:
        try:
            while not self._closing:
                self._executor.spin_once()
        except ExternalShutdownException:
            pass
        except Exception:
            if self._context.ok():  # else: rclpy was shut down at an unlucky moment
                raise
        finally:
            self._end()

    def _stop(self) -> None:
        self._closing = True

    def _end(self) -> None:
        with self._lock:
            self._ended = True
        for pending in list(self._pending):
            with contextlib.suppress(Exception):  # rclpy may just be shutting down
                pending.call.abandon()
            pending.fail(self._reason(pending.call))
        self._executor.shutdown()
        for action in [w for w in self.node.waitables if isinstance(w, ActionClient)]:
            action.destroy()  # the node does not, and would stay in DDS
        self.node.destroy_node()

    def _reason(self, call: Call) -> Exception:
        """Why there is no answer after the end."""
        if self._closing:
            return RuntimeError(f"{call.name}: the MotionClient is closed")
        if self._context.ok():
            return RuntimeError(f"{call.name}: the MotionClient's thread has failed, see its error")
        return ExternalShutdownException(f"{call.name}: rclpy was shut down")

    # In the thread

    def _send(self, pending: Pending) -> None:
        self._timer.reset()
        pending.send(self._servers.known(pending.call.service))

    def _clean_up(self, pending: Pending) -> None:
        """Forget what is on its way."""
        if not pending.answered:
            pending.call.abandon()
        if pending.state is not None:
            self._servers.get_state.remove_pending_request(pending.state)

    def _look(self) -> None:
        """Look for servers that calls wait for, and whether their time is over."""
        all_pending = list(self._pending)
        services = {pending.call.service for pending in all_pending}
        servers = {service: self._servers.known(service) for service in services}
        for pending in all_pending:
            pending.send(servers[pending.call.service])
            if pending.state is None and pending.waited > pending.timeout / 2:
                pending.state = self._servers.get_state.call_async(GetState.Request())
            if pending.waited > pending.timeout:
                self._expire(pending)
        if not self._pending:
            self._servers.rest()
            self._timer.cancel()

    def _expire(self, pending: Pending) -> None:
        name, seconds = pending.call.name, pending.timeout
        if not self.node.count_services(pending.call.service):
            pending.fail(no_server(self.node, name, seconds))
        elif pending.state is not None and pending.state.done():
            answer: Any = pending.state.result()
            pending.fail(no_answer(name, seconds, answer.current_state.label))
        else:
            pending.fail(no_answer(name, seconds, None))
