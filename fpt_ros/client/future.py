# SPDX-License-Identifier: Apache-2.0
"""An answer to come, for threads and for coroutines."""

from __future__ import annotations

import concurrent.futures
import functools
import threading
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import rclpy.task

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from rclpy.node import Node

C = TypeVar("C")
P = ParamSpec("P")
T = TypeVar("T")


class MotionFuture(concurrent.futures.Future[T]):
    """A `concurrent.futures.Future` that an rclpy coroutine can also await.

    `cancel` gives the request up; a goal of the node's action is then cancelled there, too. Done
    callbacks run in the client's thread: they must not wait for another answer.
    """

    def __init__(self, thread: threading.Thread, node: Node | None) -> None:
        """The thread serves the answers, the node is in the executor that runs the coroutines."""
        super().__init__()
        self._thread = thread
        self._node = node

    def result(self, timeout: float | None = None) -> T:
        """As of any future: waits; raises what the request ended with.

        Raises:
            RuntimeError: in a callback of the client itself, which would wait forever.
        """
        if not self.done() and threading.current_thread() is self._thread:
            raise RuntimeError(
                "waiting for an answer in a callback of MotionClient, whose thread is to receive "
                "it: use the ..._async form there"
            )
        return super().result(timeout)

    def __await__(self) -> Generator[Any, None, T]:
        if not self.done():
            node = self._node
            if node is None or node.executor is None:
                raise RuntimeError(
                    "await needs the node whose executor runs this coroutine: MotionClient(node), "
                    "the node in an executor; under asyncio, await asyncio.wrap_future(future)"
                )
            ended: rclpy.task.Future = rclpy.task.Future()

            def wake(_: object) -> None:
                ended.set_result(None)
                if node.executor is not None:  # which does not notice by itself
                    node.executor.wake()

            self.add_done_callback(wake)
            yield from ended.__await__()
        return self.result()


def blocking(
    ask: Callable[Concatenate[C, P], MotionFuture[T]],
) -> Callable[Concatenate[C, P], T]:
    """The form of a client's asynchronous method that waits for the answer and returns it."""

    @functools.wraps(ask)
    def wait(client: C, /, *args: P.args, **kwargs: P.kwargs) -> T:
        future = ask(client, *args, **kwargs)
        try:
            return future.result()
        finally:
            future.cancel()  # when it was interrupted, for example by Ctrl-C

    wait.__name__ = ask.__name__.removesuffix("_async")
    wait.__qualname__ = ask.__qualname__.removesuffix("_async")
    return wait
