"""The node fpt: a lifecycle node that hands images, pokes and requests to one worker.

Callbacks only store or hand over, so the executor's one thread always answers at once.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import threading
import time
import traceback
from types import FrameType
from typing import TYPE_CHECKING

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from fpt_ros.images import Reading, rosbags_image
from fpt_ros.ros import diagnostics, parameters
from fpt_ros.ros.frames import Frames
from fpt_ros.ros.goals import Goals
from fpt_ros.ros.images import choose_converter
from fpt_ros.ros.inputs import Inputs
from fpt_ros.ros.outputs import Outputs
from fpt_ros.ros.senders import Senders
from fpt_ros.ros.serving import create_services
from fpt_ros.ros.waiting import WaitingRoom
from fpt_ros.ros.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.parameter import Parameter

    from fpt_ros.images import Converter
    from fpt_ros.ros.inference import Inference
    from fpt_ros.ros.predictions import Predictions

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
# rosdep cannot install these everywhere.
INSTALL_HINT = ". On a robot: python3 -m pip install torch einops safetensors"
EXIT_PATIENCE = 10.0  # seconds for a running prediction to end
INTERRUPTED = threading.Event()


class Interrupted(BaseException):
    """Raised by SIGINT and SIGTERM instead of KeyboardInterrupt.

    Python ends the process by SIGINT whenever a KeyboardInterrupt came out of code that was run
    from a string, even when it was caught later. PyTorch's modules run such code on import.
    """


def _transition(
    method: Callable[[FptNode, LifecycleState], TransitionCallbackReturn],
) -> Callable[[FptNode, LifecycleState], TransitionCallbackReturn]:
    """Log what a transition raises: rclpy would drop it without a word."""

    @functools.wraps(method)
    def run(node: FptNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return method(node, state)
        except Exception as error:
            if not node.context.ok():  # ended by a signal
                return TransitionCallbackReturn.ERROR
            node.statistics.error("failures", f"{method.__name__}: {error}")
            node.get_logger().error(f"{method.__name__} failed:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR

    return run


class FptNode(LifecycleNode):
    """Predicts motion from images and pokes; see README.md for its topics and services."""

    def __init__(self) -> None:
        """ValueError or rclpy's ParameterException for a parameter that is not allowed."""
        super().__init__("fpt")
        self.settings = parameters.declare(self)
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._apply_parameters)
        self.state = "unconfigured"
        self.statistics = diagnostics.Statistics()
        self.frames = Frames(self.settings.image_cache)
        self._convert: Converter = rosbags_image  # chosen when the node is configured
        self._worker: Worker | None = None
        self._inference: Inference | None = None
        self._outputs: Outputs | None = None
        self._predictions: Predictions | None = None
        self._inputs: Inputs | None = None
        senders = Senders(self)
        self._room = WaitingRoom(self, senders)
        create_services(self, self._room, senders)
        self._goals = Goals(self, self._room)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(1.0, self._publish_diagnostics)
        self.create_timer(0.5, self._room.drop_vanished)

    def how_to_activate(self) -> str:
        step = "configure, then activate" if self.state == "unconfigured" else "activate"
        command = f"ros2 lifecycle set {self.get_fully_qualified_name()}"
        return f"the node is {self.state}, not active: {command} {step}"

    @property
    def reading(self) -> Reading:
        """How images are read now."""
        settings = self.settings
        low, high = settings.sample_range
        return Reading(settings.max_image_pixels, (low, high), self._convert)

    def refuse(self, reason: str) -> None:
        """Count a message that is refused and log why."""
        self.statistics.error("refused", reason)
        self.get_logger().warning(f"refused {reason}", throttle_duration_sec=2.0)

    def fail(self, error: Exception) -> None:
        """Log a fault and let go of what was computed: the reason may be a lack of memory."""
        if not self.context.ok():  # ended by a signal
            return
        self.frames.forget_features()
        self.statistics.error("failures", f"{type(error).__name__}: {error}")
        self.get_logger().error("".join(traceback.format_exception(error)))

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

            self._inference = Inference(self.settings, self.statistics)
            self._convert = self._chosen_converter()
        except (ValueError, OSError, ImportError) as error:
            reason = f"{error}{INSTALL_HINT if isinstance(error, ImportError) else ''}"
            self.statistics.error("failures", reason)
            self.get_logger().error(f"cannot configure with checkpoint '{checkpoint}': {reason}")
            return FAILURE
        self._outputs = Outputs(self)
        self._worker = Worker(self.fail)
        self._enter("inactive", f"loaded in {time.monotonic() - start:.1f} s", "activate")
        return super().on_configure(state)

    def _chosen_converter(self) -> Converter:
        chosen = choose_converter()
        why = f" ({chosen.why})" if chosen.why else ""
        self.get_logger().info(f"raw images are converted by {chosen.name}{why}")
        return chosen.convert

    @_transition
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        from fpt_ros.ros.answers import Answers
        from fpt_ros.ros.predictions import Predictions

        assert self._worker and self._inference and self._outputs
        result = super().on_activate(state)
        self._outputs.publish_model_info(self._inference.info)
        self.statistics.started = time.monotonic()
        self._predictions = Predictions(self, self._inference, self._outputs)
        self._inputs = Inputs(self, self._worker, self._predictions)
        self._room.open(self._worker, Answers(self, self._inference))
        self._enter("active", f"waiting for images on {self._inputs.image_topic}", "deactivate")
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

    def _stop_input(self) -> None:
        """Take nothing more in, and answer what still waits or runs."""
        if self._inputs is not None:
            self._inputs.close()
            self._inputs = None
        if self._predictions is not None:
            self._predictions.close()
            self._predictions = None
        if self._worker is not None:
            self._worker.clear()
        self._room.close()
        self.frames.clear()

    def _release(self) -> None:
        """Let go of model, thread and publishers."""
        if self._worker is not None:
            self._worker.stop()
        if self._outputs is not None:
            self._outputs.close()
        self._outputs = None
        if self._inference is not None:
            from fpt_ros.ros.inference import free_memory

            self._inference = None
            free_memory()

    def _check_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        settings = parameters.read(self, {change.name: change.value for change in changes})
        reason = parameters.refusal(settings, [change.name for change in changes], self.state)
        return SetParametersResult(successful=not reason, reason=reason)

    def _apply_parameters(self, changes: list[Parameter]) -> None:
        self.settings = parameters.read(self)
        self.frames.resize(self.settings.image_cache)

    def _publish_diagnostics(self) -> None:
        message = DiagnosticArray()
        message.header.stamp = self.get_clock().now().to_msg()
        name = self.get_fully_qualified_name()
        info = self._inference.info if self._inference is not None else None
        message.status = [
            diagnostics.status(name, self.state, info, self.statistics, self._room.waiting)
        ]
        self._diagnostics.publish(message)

    def close(self) -> None:
        """End worker and action; called when the process ends, in whatever state."""
        self._stop_input()
        self._release()
        if self._worker is not None:
            self._worker.join(EXIT_PATIENCE)
        self._goals.close()


def _interrupt_once(number: int, frame: FrameType | None) -> None:
    """Heed the first signal: Ctrl-C reaches a launched node from the terminal and from launch."""
    INTERRUPTED.set()
    _on_signals(signal.SIG_IGN)
    raise Interrupted


def _on_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for ends in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ends, handler)


def main(args: list[str] | None = None) -> None:
    """Run the node until Ctrl-C or SIGTERM, which also end the loading of a model."""
    _on_signals(_interrupt_once)
    with contextlib.suppress(Interrupted):
        _run(args)


def _run(args: list[str] | None) -> None:
    # Read when torch is loaded. By default its threads spin long while they wait for each other,
    # which on a robot whose cores are busy multiplies the time of a prediction.
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    rclpy.init(args=args)
    try:
        node = FptNode()
    except (ValueError, ParameterException) as error:
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
    except (Interrupted, ExternalShutdownException):
        pass
    except Exception:
        if not INTERRUPTED.is_set():  # else the signal came in the middle of something
            raise
    finally:
        try:
            # rclpy may have noticed the signal first; Python then does so here, or not at all.
            _on_signals(signal.SIG_IGN)
        finally:
            node.close()
            executor.shutdown()
            node.destroy_node()
            rclpy.try_shutdown()
