# SPDX-License-Identifier: Apache-2.0
"""What the node says about itself on /diagnostics, once a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

if TYPE_CHECKING:
    from fpt_ros.engine.statistics import Statistics
    from fpt_ros.inference.model_info import ModelInfo

RECENT = 10.0  # seconds after which a refused message no longer colours the status
IMAGE_TIMEOUT = 5.0
KINDS = (
    "predict_motion",
    "evaluate_pokes",
    "segment_motion",
    "sample_motion",
    "predict_motion_3d",
    "observe_motion",
)


def status(
    name: str,
    state: str,
    model: ModelInfo | None,
    statistics: Statistics,
    waiting: int,
    image_problem: str,
    unused_gpu: str,
) -> DiagnosticStatus:
    """One status of the node `name` (fully qualified) in lifecycle state `state`.

    Args:
        waiting: requests that are not answered yet.
        image_problem: why no image comes, or not all, as far as that is known; else empty.
        unused_gpu: why the node computes on the CPU although there is a GPU; else empty.
    """
    level, message = _judge(state, statistics, image_problem, unused_gpu)
    age = statistics.age("images")
    values = {
        "state": state,
        "checkpoint": model.checkpoint if model else "none",
        "sha256": model.sha256 if model else "none",
        "device": model.device if model else "none",
        "dtype": model.dtype if model else "none",
        "images received": str(statistics.total("images")),
        "image rate [Hz]": f"{statistics.rate('images'):.1f}",
        "age of newest image [s]": "none yet" if age == float("inf") else f"{age:.1f}",
        "images embedded": str(statistics.total("embedded")),
        "images and pokes dropped for newer ones": str(statistics.total("dropped")),
        "predictions": str(statistics.total("predictions")),
        "prediction rate [Hz]": f"{statistics.rate('predictions'):.1f}",
        "requests": str(statistics.total("requests")),
        "requests waiting": str(waiting),
        **{f"{kind} requests, p50 / p95 [ms]": _requests(kind, statistics) for kind in KINDS},
        "embed image p50 / p95 [ms]": statistics.percentiles("embed"),
        "query p50 / p95 [ms]": statistics.percentiles("query"),
        "messages refused": str(statistics.total("refused")),
        "last refusal": statistics.last_refusal,
        "requests answered with an error": str(statistics.total("request errors")),
        "failures": str(statistics.total("failures")),
        "last error": statistics.fault,
        "image problem": image_problem,
        "GPU not used because": unused_gpu,
    }
    return DiagnosticStatus(
        level=level,
        name=f"{name}: motion prediction",
        message=message,
        hardware_id=values["device"],
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )


def _requests(kind: str, statistics: Statistics) -> str:
    """How many there were, and how long the answers took."""
    return f"{statistics.total(kind)}, {statistics.percentiles(kind)}"


def _judge(
    state: str, statistics: Statistics, image_problem: str, unused_gpu: str
) -> tuple[bytes, str]:
    if statistics.fault:
        return DiagnosticStatus.ERROR, statistics.fault
    if state != "active":
        return DiagnosticStatus.OK, state
    age = min(statistics.age("images"), time.monotonic() - statistics.started)
    if age > IMAGE_TIMEOUT:
        return DiagnosticStatus.WARN, f"no image for {age:.0f} s: {image_problem}"
    if image_problem:
        return DiagnosticStatus.WARN, image_problem
    if statistics.age("refused") < RECENT:
        return DiagnosticStatus.WARN, f"message refused: {statistics.last_refusal}"
    if unused_gpu:
        return DiagnosticStatus.WARN, f"active, but {unused_gpu}"
    return DiagnosticStatus.OK, "active"
