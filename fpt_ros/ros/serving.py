"""The node's services: each request waits for the worker without holding up the executor."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.qos import HistoryPolicy, QoSProfile
from rclpy.task import Future

from fpt_ros.msg import ErrorCode
from fpt_ros.ros.requests import error_response
from fpt_ros.srv import EvaluatePokes, PredictMotion

if TYPE_CHECKING:
    from fpt_ros.ros.answers import Answers
    from fpt_ros.ros.node import FptNode
    from fpt_ros.ros.worker import Worker
    from fpt_ros.steps import Steps

SERVICES = {"predict_motion": PredictMotion, "evaluate_pokes": EvaluatePokes}
# More requests than any planner has in flight; each one that waits holds its message. More are
# answered with an error, which is why the middleware must not drop any (KEEP_ALL).
MAX_WAITING = 100


class Services:
    """The services, which live as long as the node: a request is answered in every state."""

    def __init__(self, node: FptNode) -> None:
        self._node = node
        self._worker: Worker | None = None
        self._answers: Answers | None = None
        self._waiting: dict[Future, type] = {}
        for name, service_type in SERVICES.items():
            node.create_service(
                service_type,
                f"~/{name}",
                functools.partial(self._serve, name),
                qos_profile=QoSProfile(history=HistoryPolicy.KEEP_ALL),
                # In the default group a request that waits would hold up parameters and lifecycle.
                callback_group=ReentrantCallbackGroup(),
            )

    def open(self, worker: Worker, answers: Answers) -> None:
        """Serve requests from now on."""
        self._worker, self._answers = worker, answers

    def close(self) -> None:
        """Answer what waits or runs, and all later requests, with an error."""
        self._worker = self._answers = None
        for future, response_type in list(self._waiting.items()):
            reason = "the node was deactivated before the answer was there"
            self._finish(future, error_response(response_type, ErrorCode.CANCELED, reason))

    async def _serve(self, name: str, request: Any, response: Any) -> Any:
        """What the method `name` of the answers returns in the worker's thread, or an error."""
        self._node.statistics.count("requests")
        response_type = type(response)
        worker, answers = self._worker, self._answers
        if worker is None or answers is None:
            self._node.statistics.count("request errors")
            return error_response(response_type, ErrorCode.NOT_ACTIVE, self._node.how_to_activate())
        if worker.waiting >= MAX_WAITING:
            self._node.statistics.count("request errors")
            reason = f"{worker.waiting} requests wait already: at most {MAX_WAITING} may"
            return error_response(response_type, ErrorCode.TOO_LARGE, reason)
        future: Future = Future()
        self._waiting[future] = response_type
        steps = answers.guarded(response_type, getattr(answers, name)(request))
        worker.submit(lambda: self._answer(future, steps))
        return await future

    def _answer(self, future: Future, steps: Steps[Any]) -> Steps[None]:
        """The steps for as long as the answer is waited for."""
        while future in self._waiting:
            try:
                next(steps)
            except StopIteration as end:
                self._finish(future, end.value)
                return
            yield

    def _finish(self, future: Future, response: Any) -> None:
        """Complete a request, once, and wake the executor, which does not notice by itself."""
        if self._waiting.pop(future, None) is not None:
            future.set_result(response)
            executor = self._node.executor
            if executor is not None:
                executor.wake()
