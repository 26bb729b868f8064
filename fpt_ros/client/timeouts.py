# SPDX-License-Identifier: Apache-2.0
"""Why an answer did not come in time, as far as that can be known."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rclpy.node import Node

SERVICE, SERVICE_TYPE = "/predict_motion", "fpt_ros/srv/PredictMotion"


def no_server(node: Node, name: str, seconds: float) -> TimeoutError:
    """For a service or action that nobody offers."""
    domain = os.environ.get("ROS_DOMAIN_ID", "0")
    others = sorted(
        service.removesuffix(SERVICE)
        for service, types in node.get_service_names_and_types()
        if SERVICE_TYPE in types and service.endswith(SERVICE) and node.count_services(service)
    )
    if others:
        advice = f"such nodes are {', '.join(others)}: name the right one to MotionClient"
    else:
        advice = f"no such node is in sight (ROS_DOMAIN_ID {domain}): start it, see README.md"
    return TimeoutError(f"nobody offers {name} after {seconds:g} s: {advice}")


def no_answer(name: str, seconds: float, state: str | None) -> TimeoutError:
    """For a node that did not answer; `state` is its lifecycle state if it told that."""
    if state is None:
        why = "nor does its node tell its state: it hangs, is overloaded or has just ended"
    elif state == "active":
        why = "its node is active and busy: allow more time (timeout) or ask for less at once"
    else:
        why = f"its node is {state}: activate it (ros2 lifecycle set) and ask again"
    return TimeoutError(f"no answer from {name} after {seconds:g} s: {why}")
