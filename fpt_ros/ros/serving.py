"""The node's services: each request waits for the worker without holding up the executor."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.qos import HistoryPolicy, QoSProfile
from rclpy.task import Future

from fpt_ros.msg import ErrorCode
from fpt_ros.srv import PredictMotion

if TYPE_CHECKING:
    from collections.abc import Callable

    from fpt_ros.ros.node import FptNode
    from fpt_ros.ros.predictions import Predictions
    from fpt_ros.ros.worker import Worker

# More requests than any planner has in flight; each one that waits holds its message. More are
# answered with an error, which is why the middleware must not drop any (KEEP_ALL).
MAX_WAITING = 100


class Services:
    """The services, which live as long as the node: a request is answered in every state."""

    def __init__(self, node: FptNode) -> None:
        self._node = node
        self._worker: Worker | None = None
        self._predictions: Predictions | None = None
        self._waiting: dict[Future, type] = {}
        node.create_service(
            PredictMotion,
            "~/predict_motion",
            self._on_predict_motion,
            qos_profile=QoSProfile(history=HistoryPolicy.KEEP_ALL),
            # In the default group a request that waits would hold up parameters and lifecycle.
            callback_group=ReentrantCallbackGroup(),
        )

    def open(self, worker: Worker, predictions: Predictions) -> None:
        """Serve requests from now on."""
        self._worker, self._predictions = worker, predictions

    def close(self) -> None:
        """Answer what waits or runs, and all later requests, with an error."""
        self._worker = self._predictions = None
        for future, response_type in list(self._waiting.items()):
            reason = "the node was deactivated before the answer was there"
            self._finish(future, _error(response_type, ErrorCode.CANCELED, reason))

    async def _on_predict_motion(
        self, request: PredictMotion.Request, response: PredictMotion.Response
    ) -> PredictMotion.Response:
        return await self._serve(
            PredictMotion.Response, lambda predictions: predictions.predict_motion(request)
        )

    async def _serve(self, response_type: type, compute: Callable[[Predictions], Any]) -> Any:
        """What `compute` returns in the worker's thread, or an error."""
        self._node.statistics.count("requests")
        worker, predictions = self._worker, self._predictions
        if worker is None or predictions is None:
            self._node.statistics.count("request errors")
            return _error(response_type, ErrorCode.NOT_ACTIVE, self._node.how_to_activate())
        if worker.waiting >= MAX_WAITING:
            self._node.statistics.count("request errors")
            reason = f"{worker.waiting} requests wait already: at most {MAX_WAITING} may"
            return _error(response_type, ErrorCode.TOO_LARGE, reason)
        future: Future = Future()
        self._waiting[future] = response_type
        answer = functools.partial(predictions.answer, response_type, compute)
        worker.submit(lambda: self._finish(future, answer()))
        return await future

    def _finish(self, future: Future, response: Any) -> None:
        """Complete a request, once, and wake the executor, which does not notice by itself."""
        if self._waiting.pop(future, None) is not None:
            future.set_result(response)
            executor = self._node.executor
            if executor is not None:
                executor.wake()


def _error(response_type: type, code: int, message: str) -> Any:
    return response_type(error_code=code, error_msg=message)
