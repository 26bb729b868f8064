# SPDX-License-Identifier: Apache-2.0
"""The node fpt: a lifecycle node that hands images, pokes and requests to an engine.

Callbacks only store or hand over, so the executor's one thread always answers at once.
"""

from __future__ import annotations

import time
import traceback
from typing import TYPE_CHECKING, Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from fpt_ros.engine.statistics import Statistics
from fpt_ros.engine.turns import Turns
from fpt_ros.images import rosbags_image
from fpt_ros.ros import diagnostics, parameters
from fpt_ros.ros.bond import break_bond, form_bond
from fpt_ros.ros.image_source import image_problem
from fpt_ros.ros.images import choose_converter
from fpt_ros.ros.joint_answers import JointAnswers
from fpt_ros.ros.lifecycle import (
    FAILURE,
    LOG_PERIOD,
    SUCCESS,
    News,
    refuse_illegal_transitions,
    transition,
)
from fpt_ros.ros.outputs import Outputs
from fpt_ros.ros.qos import unused_overrides
from fpt_ros.ros.requests import Requests
from fpt_ros.ros.sample_action import SampleAction
from fpt_ros.ros.services import create_services
from fpt_ros.ros.transforms import Transforms

if TYPE_CHECKING:
    from rclpy.parameter import Parameter

    from fpt_ros.engine.engine import Engine
    from fpt_ros.images import Converter
    from fpt_ros.inference.predictor import Predictor
    from fpt_ros.ros.topics import Topics

# rosdep cannot install these everywhere.
INSTALL_HINT = ". On a robot: python3 -m pip install torch einops safetensors"
# Housekeeping runs by a clock that always goes, unlike the node's with use_sim_time.
STEADY = Clock(clock_type=ClockType.STEADY_TIME)


class FptNode(LifecycleNode):
    """Predicts motion from images and pokes; see README.md for its topics and services."""

    def __init__(self) -> None:
        """ValueError or rclpy's ParameterException for a parameter that is not allowed."""
        super().__init__("fpt")
        self.settings = parameters.declare(self)
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._apply_parameters)
        self.state = "unconfigured"
        self.statistics = Statistics()
        self._is_news = News()
        self._turns = Turns(self.report_fault)
        self._predictor: Predictor | None = None  # while it is configured
        self._engine: Engine | None = None  # while it is active
        self._outputs: Outputs | None = None
        self._topics: Topics | None = None
        self._convert: Converter = rosbags_image  # chosen when the node is configured
        self._bond: Any = None  # while it is active, where bondpy is installed
        self._unused_gpu = self._image_problem = ""
        self._requests = Requests(
            self._turns, self.statistics, self._why_inactive, self.report_fault, self._wake
        )
        # In the default group a request that waits would hold up parameters and lifecycle.
        self.requests_group = ReentrantCallbackGroup()
        joints = JointAnswers(Transforms(self), self._show_joint)
        create_services(self, self._requests, self.requests_group, joints)
        self._action = SampleAction(self, self._requests, self.requests_group)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(1.0, self._publish_diagnostics, clock=STEADY)
        self.create_timer(0.5, self._end_requests_without_client, clock=STEADY)
        refuse_illegal_transitions(self)

    def start(self) -> None:
        """Configure and activate, if the node is to do that by itself; say what comes next."""
        if not self.settings.autostart:
            self._enter("unconfigured", "no model is loaded", "configure")
        elif self.trigger_configure() != SUCCESS or self.trigger_activate() != SUCCESS:
            self.get_logger().error(
                f"autostart failed: mend what is said above; {self._why_inactive()}"
            )

    @transition
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        checkpoint, start = self.settings.checkpoint, time.monotonic()
        self.get_logger().info(f"loading checkpoint '{checkpoint}'")
        try:
            # Here, not above: torch takes seconds to import, and may not be installed.
            from fpt_ros.engine.gpu import unused_gpu
            from fpt_ros.engine.loading import load_predictor

            self._convert = self._chosen_converter()
            self._predictor = load_predictor(self.settings)
            self._outputs = Outputs(self)
        except (ValueError, OSError, ImportError) as error:
            hint = INSTALL_HINT if isinstance(error, ImportError) else ""
            return self._cannot(f"configure with checkpoint '{checkpoint}'", f"{error}{hint}")
        self._outputs.publish_model_info(self._predictor.info)
        self._unused_gpu = unused_gpu() if self.settings.device == "auto" else ""
        if self._unused_gpu:
            self.get_logger().warning(self._unused_gpu)
        self._enter("inactive", f"loaded in {time.monotonic() - start:.1f} s", "activate")
        return super().on_configure(state)

    @transition
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        from fpt_ros.engine.engine import Engine
        from fpt_ros.ros.topics import Topics

        assert self._predictor and self._outputs
        self.statistics.restart()
        engine = Engine(self._predictor, self.settings, self.statistics, self._seconds)
        try:
            self._topics = Topics(
                self,
                self.requests_group,
                engine,
                self._turns,
                self._outputs,
                self.statistics,
                self._convert,
                self.report_fault,
            )
        except ValueError as error:
            return self._cannot("activate", str(error))
        for reason in unused_overrides(self):
            self.get_logger().warning(reason)
        self._engine = self._requests.engine = engine
        self._bond = form_bond(self)
        self._enter("active", f"waiting for images on {self._topics.image_topic}", "deactivate")
        return super().on_activate(state)

    @transition
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop()
        self._enter("inactive", "the model stays loaded", "activate")
        return super().on_deactivate(state)

    @transition
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        self._enter("unconfigured", "the model is released", "configure")
        return super().on_cleanup(state)

    @transition
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop()
        self._release()
        self.state = "finalized"
        self.get_logger().info("finalized: the process can be ended")
        return super().on_shutdown(state)

    @transition
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop()
        self._release()
        self._enter("unconfigured", "after an error", "configure")
        return SUCCESS

    def close(self, timeout: float) -> bool:
        """End what runs, when the process ends, in whatever state; False if it goes on."""
        self._stop()
        ended = self._turns.stop(timeout)
        self._release()
        self._action.close()
        return ended

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """As every node's. What keeps its value is accepted, also where it may not be changed."""
        changes = [change for change in parameter_list if not parameters.has_value(self, change)]
        if not changes:
            return SetParametersResult(successful=True)
        return super().set_parameters_atomically(changes)

    def _chosen_converter(self) -> Converter:
        chosen = choose_converter()
        why = f" ({chosen.why})" if chosen.why else ""
        self.get_logger().info(f"raw images are converted by {chosen.name}{why}")
        return chosen.convert

    def _cannot(self, what: str, reason: str) -> TransitionCallbackReturn:
        """A transition that is not possible; the node stays as it was before."""
        self.statistics.failed(reason)
        if self._is_news(reason):
            self.get_logger().error(f"cannot {what}: {reason}")
        if what != "activate":
            self._release()
        return FAILURE

    def _enter(self, state: str, remark: str, next_transition: str) -> None:
        self.state = state
        command = f"ros2 lifecycle set {self.get_fully_qualified_name()} {next_transition}"
        self.get_logger().info(f"{state}: {remark}. Next: {command}")

    def _stop(self) -> None:
        """Take nothing more in, and answer what still waits or runs."""
        if self._topics is not None:
            self._topics.close()
            self._topics = None
        break_bond(self, self._bond)
        self._bond = None
        self._turns.clear()
        self._engine = self._requests.engine = None
        self._requests.end_all("the node was deactivated before the answer was there")
        self._image_problem = ""

    def _release(self) -> None:
        """Let go of model and publishers."""
        if self._outputs is not None:
            self._outputs.close()
            self._outputs = None
        if self._predictor is not None:
            from fpt_ros.engine.loading import free_memory

            self._predictor = None
            free_memory()

    def report_fault(self, error: Exception) -> None:
        """Log a fault and let go of what was computed: the reason may be a lack of memory."""
        if not self.context.ok():  # the process ends
            return
        if self._engine is not None:
            self._engine.frames.forget_features()
        self.statistics.failed(f"{type(error).__name__}: {error}")
        text = "".join(traceback.format_exception(error))
        self.get_logger().error(text, throttle_duration_sec=LOG_PERIOD)

    def _why_inactive(self) -> str:
        step = "configure, then activate" if self.state == "unconfigured" else "activate"
        command = f"ros2 lifecycle set {self.get_fully_qualified_name()}"
        return f"the node is {self.state}, not active: {command} {step}"

    def _show_joint(self, *joint: Any) -> None:
        if self._outputs is not None:
            self._outputs.publish_joint(*joint)

    def _seconds(self) -> float:
        """On the node's clock, which is that of the images' stamps."""
        return self.get_clock().now().nanoseconds * 1e-9

    def _wake(self) -> None:
        if self.executor is not None:
            self.executor.wake()

    def _check_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        settings = parameters.read(self, {change.name: change.value for change in changes})
        reason = parameters.refusal(settings, [change.name for change in changes], self.state)
        return SetParametersResult(successful=not reason, reason=reason)

    def _apply_parameters(self, changes: list[Parameter]) -> None:
        self.settings = parameters.read(self)
        if self._engine is not None:
            self._engine.apply(self.settings)

    def _end_requests_without_client(self) -> None:
        self._requests.end_without_client(self.count_clients)

    def _publish_diagnostics(self) -> None:
        self._look_for_images()
        message = DiagnosticArray()
        message.header.stamp = self.get_clock().now().to_msg()
        message.status = [
            diagnostics.status(
                self.get_fully_qualified_name(),
                self.state,
                self._predictor.info if self._predictor is not None else None,
                self.statistics,
                self._requests.waiting,
                self._image_problem,
                self._unused_gpu,
            )
        ]
        self._diagnostics.publish(message)

    def _look_for_images(self) -> None:
        """Find out why none comes, or not all, and log that when it is new."""
        if self._topics is None:
            return
        running = time.monotonic() - self.statistics.started
        waited = min(self.statistics.age("images"), running)
        problem = image_problem(self, self._topics.image_subscription, self._topics.stamps, waited)
        if problem and not self._image_problem:
            self.get_logger().warning(f"images: {problem}")
        self._image_problem = problem
