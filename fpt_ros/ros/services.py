# SPDX-License-Identifier: Apache-2.0
"""The node's services: each request waits for the engine without holding up the executor."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from rclpy.qos import HistoryPolicy, QoSProfile

from fpt_ros.engine.errors import ErrorCode, RequestError
from fpt_ros.ros import answers
from fpt_ros.ros.conversions import stamp_of
from fpt_ros.ros.requests import error_response
from fpt_ros.srv import (
    EvaluatePokes,
    HoldImage,
    ObserveMotion,
    PredictMotion,
    PredictMotion3D,
    SegmentMotion,
)

if TYPE_CHECKING:
    from rclpy.callback_groups import CallbackGroup
    from rclpy.node import Node

    from fpt_ros.engine.frames import Stamp
    from fpt_ros.ros.joint_answers import JointAnswers
    from fpt_ros.ros.requests import Requests

SERVICES: dict[str, tuple[Any, Any]] = {
    "predict_motion": (PredictMotion, answers.predict_motion),
    "evaluate_pokes": (EvaluatePokes, answers.evaluate_pokes),
    "segment_motion": (SegmentMotion, answers.segment_motion),
}
# More than may wait are answered with an error, so the middleware must drop none.
KEEP_ALL = QoSProfile(history=HistoryPolicy.KEEP_ALL)


def create_services(
    node: Node, requests: Requests, group: CallbackGroup, joints: JointAnswers
) -> None:
    """The services, which live as long as the node: a request is answered in every state.

    Args:
        group: reentrant, as a request that waits must not hold up others.
        joints: answers what is asked in metres.
    """
    services = SERVICES | {
        "predict_motion_3d": (PredictMotion3D, joints.predict_motion_3d),
        "observe_motion": (ObserveMotion, joints.observe_motion),
    }
    callbacks: dict[str, tuple[Any, Any]] = {
        name: (service_type, functools.partial(_answer, requests, name, answer))
        for name, (service_type, answer) in services.items()
    }
    callbacks["hold_image"] = (HoldImage, functools.partial(_hold_image, requests))
    for name, (service_type, callback) in callbacks.items():
        node.create_service(
            service_type,
            f"~/{name}",
            callback,
            qos_profile=KEEP_ALL,
            callback_group=group,
        )


async def _answer(requests: Requests, name: str, answer: Any, request: Any, response: Any) -> Any:
    if requests.engine is not None:
        for stamp in _stamps(request):  # kept until it is this request's turn
            requests.engine.frames.touch(stamp)
    return await requests.answer(
        name, f"~/{name}", type(response), lambda engine: answer(engine, request)
    )


def _stamps(request: Any) -> list[Stamp]:
    """Of the images that it asks about."""
    if isinstance(request, ObserveMotion.Request):
        stamps = request.stamp_before, request.stamp_after
        return [(stamp.sec, stamp.nanosec) for stamp in stamps]
    return [stamp_of(request)]


def _hold_image(requests: Requests, request: Any, response: Any) -> HoldImage.Response:
    """At once, without waiting for a turn: until then the image might be gone."""
    if requests.engine is None:
        reason = requests.why_inactive()
        return error_response(type(response), ErrorCode.NOT_ACTIVE, reason)
    try:
        frame = requests.engine.hold(stamp_of(request), request.seconds)
    except RequestError as error:
        return error_response(type(response), error.code, str(error))
    return HoldImage.Response(header=frame.header)
