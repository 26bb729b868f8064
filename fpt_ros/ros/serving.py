"""The node's services: each request waits for the worker without holding up the executor."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.qos import HistoryPolicy, QoSProfile

from fpt_ros.srv import EvaluatePokes, PredictMotion, SegmentMotion

if TYPE_CHECKING:
    from fpt_ros.inference.steps import Steps
    from fpt_ros.ros.answers import Answers
    from fpt_ros.ros.node import FptNode
    from fpt_ros.ros.senders import Senders
    from fpt_ros.ros.waiting import WaitingRoom

SERVICES: dict[str, Any] = {
    "predict_motion": PredictMotion,
    "evaluate_pokes": EvaluatePokes,
    "segment_motion": SegmentMotion,
}


def create_services(node: FptNode, room: WaitingRoom, senders: Senders) -> None:
    """The services, which live as long as the node: a request is answered in every state."""
    for name, service_type in SERVICES.items():
        service = node.create_service(
            service_type,
            f"~/{name}",
            functools.partial(_serve, room, name),
            # More than may wait are answered with an error, so none must be dropped.
            qos_profile=QoSProfile(history=HistoryPolicy.KEEP_ALL),
            # In the default group a request that waits would hold up parameters and lifecycle.
            callback_group=ReentrantCallbackGroup(),
        )
        senders.watch(f"~/{name}", service, service_type.Event)


async def _serve(room: WaitingRoom, name: str, request: Any, response: Any) -> Any:
    def compute(answers: Answers) -> Steps[Any]:
        return getattr(answers, name)(request)

    return await room.enter(name, f"~/{name}", type(response), compute)
