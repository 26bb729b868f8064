"""The node fpt: a lifecycle node that hands images, pokes and requests to one worker.

Callbacks only store or hand over, so the executor's one thread always answers at once.
"""

from __future__ import annotations

import functools
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.exceptions import InvalidParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.task import Future
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from fpt_ros.msg import ErrorCode, PokeArray, QueryPoints
from fpt_ros.ros import diagnostics, parameters
from fpt_ros.ros.frames import Frame, Frames
from fpt_ros.ros.images import ImageError
from fpt_ros.ros.outputs import Outputs
from fpt_ros.ros.worker import Worker
from fpt_ros.srv import PredictMotion

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.parameter import Parameter

    from fpt_ros.ros.predictions import Predictions

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
NEWEST_IMAGE = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
INPUTS = QoSProfile(depth=10)
# More requests than any planner has in flight; each waiting one holds its message.
MAX_WAITING = 100
EXIT_PATIENCE = 10.0  # seconds for a running prediction to end


def _transition(
    method: Callable[[FptNode, LifecycleState], TransitionCallbackReturn],
) -> Callable[[FptNode, LifecycleState], TransitionCallbackReturn]:
    """Log what a transition raises: rclpy would drop it without a word."""

    @functools.wraps(method)
    def run(node: FptNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return method(node, state)
        except Exception as error:
            node.statistics.error("failures", f"{method.__name__}: {error}")
            node.get_logger().error(f"{method.__name__} failed:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR

    return run


class FptNode(LifecycleNode):
    """Predicts motion from images and pokes; see README.md for its topics and services."""

    def __init__(self) -> None:
        """ValueError or rclpy's InvalidParameterException for a parameter that is not allowed."""
        super().__init__("fpt")
        self.settings = parameters.declare(self)
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._apply_parameters)
        self.state = "unconfigured"
        self.statistics = diagnostics.Statistics()
        self.frames = Frames(self.settings.image_cache)
        self._model: dict[str, str] = {}
        self._worker: Worker | None = None
        self._outputs: Outputs | None = None
        self._predictions: Predictions | None = None
        self._inputs: list[Any] = []
        self._open: dict[Future, Any] = {}
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(1.0, self._publish_diagnostics)
        # Services live as long as the node, so that a request is answered in every state. In the
        # default group a waiting request would hold up parameters and lifecycle.
        self._waiting_group = ReentrantCallbackGroup()
        self.create_service(
            PredictMotion,
            "~/predict_motion",
            self._on_predict_motion,
            callback_group=self._waiting_group,
        )

    def is_active(self) -> bool:
        return self.state == "active"

    def refuse(self, reason: str) -> None:
        """Count a message that is refused and log why."""
        self.statistics.error("refused", reason)
        self.get_logger().warning(f"refused {reason}", throttle_duration_sec=2.0)

    # Lifecycle

    @_transition
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        if self._worker is not None and not self._worker.join(EXIT_PATIENCE):
            self.get_logger().error("the last prediction has not ended yet: configure again later")
            return FAILURE
        checkpoint, start = self.settings.checkpoint, time.monotonic()
        self.get_logger().info(f"loading checkpoint '{checkpoint}'")
        try:
            # Here, not above: torch takes seconds to import, and may not be installed.
            from fpt_ros.ros.inference import Inference
            from fpt_ros.ros.predictions import Predictions

            inference = Inference(self.settings, self.statistics)
        except (ValueError, OSError, ImportError) as error:
            self.statistics.error("failures", str(error))
            self.get_logger().error(f"cannot configure with checkpoint '{checkpoint}': {error}")
            return FAILURE
        self._outputs = Outputs(self)
        self._predictions = Predictions(self, inference, self._outputs)
        self._worker = Worker(self._predictions.fail)
        self._describe_model(inference.predictor.info)
        self._enter("inactive", f"loaded in {time.monotonic() - start:.1f} s", "activate")
        return super().on_configure(state)

    @_transition
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        assert self._outputs and self._predictions
        result = super().on_activate(state)
        self._outputs.publish_model_info(self._predictions.model_info)
        self.statistics.started = time.monotonic()
        self._predictions.reset()
        self._subscribe()
        topic = self._inputs[0].topic_name
        self._enter("active", f"waiting for images on {topic}", "deactivate")
        return result

    @_transition
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop_input()
        self._enter("inactive", "the model stays loaded", "activate")
        return super().on_deactivate(state)

    @_transition
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        self._enter("unconfigured", "the model is released", "configure")
        return super().on_cleanup(state)

    @_transition
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop_input()
        self._release()
        self.state = "finalized"
        self.get_logger().info("finalized: the process can be ended")
        return super().on_shutdown(state)

    @_transition
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop_input()
        self._release()
        self._enter("unconfigured", "after an error", "configure")
        return SUCCESS

    def _enter(self, state: str, remark: str, next_transition: str) -> None:
        self.state = state
        command = f"ros2 lifecycle set {self.get_fully_qualified_name()} {next_transition}"
        self.get_logger().info(f"{state}: {remark}. Next: {command}")

    def _subscribe(self) -> None:
        image_topic = self.resolve_topic_name("image")
        image_type = Image
        camera_info_topic = image_topic.rpartition("/")[0] + "/camera_info"
        if self.settings.image_transport == "compressed":
            image_topic, image_type = f"{image_topic}/compressed", CompressedImage
        overridable = QoSOverridingOptions.with_default_policies()
        self._inputs = [
            self.create_subscription(
                message_type, topic, callback, qos, qos_overriding_options=overridable
            )
            for message_type, topic, callback, qos in (
                (image_type, image_topic, self._on_image, NEWEST_IMAGE),
                (PokeArray, "pokes", self._on_pokes, INPUTS),
                (QueryPoints, "query_points", self._on_query_points, INPUTS),
                (CameraInfo, camera_info_topic, self._on_camera_info, NEWEST_IMAGE),
            )
        ]

    def _stop_input(self) -> None:
        """Take nothing more in, and answer what still waits or runs."""
        self.state = "deactivating"
        while self._inputs:
            self.destroy_subscription(self._inputs.pop())
        if self._worker is not None:
            self._worker.clear()
        for future, response_type in list(self._open.items()):
            error = _error(response_type, ErrorCode.CANCELED, "the node was deactivated meanwhile")
            self._finish(future, error)
        self.frames.clear()

    def _release(self) -> None:
        """Let go of model, thread and publishers. A running prediction ends at its next chunk."""
        if self._worker is not None:
            self._worker.stop()
        if self._outputs is not None:
            self._outputs.close()
        self._outputs = self._predictions = None
        self._model = {}

    # Input

    def _on_image(self, message: Image | CompressedImage) -> None:
        self.statistics.count("images")
        try:
            frame = Frame(message)
        except ImageError as error:
            self.refuse(f"image: {error}")
            return
        if frame.key == (0, 0):
            self.get_logger().warning(
                "images come without a stamp: results cannot be told apart by it", once=True
            )
        self.frames.add(frame)
        if self.settings.trigger != "pokes":
            self._hand_over(self._predictions.take_image, "image")

    def _on_pokes(self, message: PokeArray) -> None:
        self._hand_over(functools.partial(self._predictions.take_pokes, message), "pokes")

    def _on_query_points(self, message: QueryPoints) -> None:
        # First, so that pokes sent after these points, and waiting, are predicted with them.
        job = functools.partial(self._predictions.take_points, message)
        self._worker.submit(job, slot="query_points", first=True)

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._predictions.camera_info = message

    def _hand_over(self, job: Callable[[], None], slot: str) -> None:
        if self._worker.submit(job, slot):
            self.statistics.count("dropped")

    # Requests

    async def _on_predict_motion(
        self, request: PredictMotion.Request, response: PredictMotion.Response
    ) -> PredictMotion.Response:
        return await self._serve(PredictMotion.Response, "predict_motion", request)

    async def _serve(self, response_type: type, method: str, request: Any) -> Any:
        """The response of the predictions' `method`, computed by the worker."""
        self.statistics.count("requests")
        if not self.is_active():
            command = f"ros2 lifecycle set {self.get_fully_qualified_name()} activate"
            reason = f"the node is {self.state}, not active; once configured: {command}"
            return _error(response_type, ErrorCode.NOT_ACTIVE, reason)
        predictions, worker = self._predictions, self._worker
        if worker.waiting >= MAX_WAITING:
            reason = f"{worker.waiting} requests wait already: at most {MAX_WAITING} may"
            return _error(response_type, ErrorCode.TOO_LARGE, reason)
        future = Future()
        self._open[future] = response_type
        compute = functools.partial(getattr(predictions, method), request)
        worker.submit(lambda: self._finish(future, predictions.answer(response_type, compute)))
        return await future

    def _finish(self, future: Future, response: Any) -> None:
        """Answer a request, once. The executor does not see by itself that a future is done."""
        if self._open.pop(future, None) is not None:
            future.set_result(response)
            executor = self.executor
            if executor is not None:
                executor.wake()

    # Parameters and diagnostics

    def _check_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        settings = parameters.read(self, {change.name: change.value for change in changes})
        reason = parameters.refusal(settings, [change.name for change in changes], self.state)
        return SetParametersResult(successful=not reason, reason=reason)

    def _apply_parameters(self, changes: list[Parameter]) -> None:
        self.settings = parameters.read(self)
        self.frames.resize(self.settings.image_cache)

    def _describe_model(self, info: Any) -> None:
        self._model = {
            "checkpoint": info.checkpoint,
            "sha256": info.sha256,
            "device": info.device,
            "dtype": info.dtype,
        }

    def _publish_diagnostics(self) -> None:
        waiting = self._worker.waiting if self._worker is not None else 0
        message = DiagnosticArray()
        message.header.stamp = self.get_clock().now().to_msg()
        name = self.get_fully_qualified_name()
        status = diagnostics.status(name, self.state, self._model, self.statistics, waiting)
        message.status = [status]
        self._diagnostics.publish(message)

    def close(self) -> None:
        """End the worker; called when the process ends, in whatever state."""
        self._stop_input()
        self._release()
        if self._worker is not None:
            self._worker.join(EXIT_PATIENCE)


def _error(response_type: type, code: int, message: str) -> Any:
    return response_type(error_code=code, error_msg=message)


def main(args: list[str] | None = None) -> None:
    """Run the node until Ctrl-C or SIGTERM."""
    rclpy.init(args=args)
    try:
        node = FptNode()
    except (ValueError, InvalidParameterException) as error:
        rclpy.logging.get_logger("fpt").fatal(f"cannot start: {error}")
        rclpy.try_shutdown()
        sys.exit(1)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        if not node.settings.autostart:
            node.get_logger().info(
                "unconfigured. Next: ros2 lifecycle set "
                f"{node.get_fully_qualified_name()} configure"
            )
        elif node.trigger_configure() == SUCCESS:
            node.trigger_activate()
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.close()
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
