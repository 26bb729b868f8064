# SPDX-License-Identifier: Apache-2.0
"""Requests about joints to the engine's questions, and its answers to messages, in steps.

All runs in the engine's thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fpt_ros.engine.errors import ErrorCode, invalid
from fpt_ros.engine.questions import MAX_POKES, read_points, read_pokes
from fpt_ros.geometry import JointKind
from fpt_ros.images import memory
from fpt_ros.ros.conversions import floats, stamp_of
from fpt_ros.ros.joints import joint_to_message
from fpt_ros.srv import ObserveMotion, PredictMotion3D

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from geometry_msgs.msg import Vector3
    from jaxtyping import Bool, Float
    from sensor_msgs.msg import Image

    from fpt_ros.engine.engine import Engine
    from fpt_ros.engine.joints import Motion3D, Seen
    from fpt_ros.geometry import Joint
    from fpt_ros.inference.steps import Steps
    from fpt_ros.ros.transforms import Transforms

    Show = Callable[[Joint | None, Float[np.ndarray, " 3"], Any], None]

ASKED_FOR = (JointKind.UNKNOWN, JointKind.PRISMATIC, JointKind.REVOLUTE, JointKind.FREE)
MASKS = ("mono8", "8UC1")


class JointAnswers:
    """Answers requests about joints, and shows the best joint of each."""

    def __init__(self, transforms: Transforms, show: Show) -> None:
        """`show` gets the joint (None where the question is refused), where the first poke begins
        [m], and the image's header.
        """
        self._transforms, self._show = transforms, show

    def predict_motion_3d(
        self, engine: Engine, request: PredictMotion3D.Request
    ) -> Steps[PredictMotion3D.Response]:
        from fpt_ros.engine.joints import Question3D, predict_3d  # here: it imports torch

        header = engine.find(stamp_of(request)).header
        try:
            pokes_3d = self._transforms.pokes(
                read_pokes_3d(request.pokes_3d), request.pokes_3d_header.frame_id, header
            )
        except ValueError as error:
            raise invalid(f"pokes_3d_header: {error}") from error
        question = Question3D(
            pokes=read_pokes(request.pokes),
            pokes_3d=pokes_3d,
            points=read_points(request.x, request.y, engine.settings.max_queries),
            mask=read_mask(request.mask),
            poke_spread=read_spread(request.poke_spread),
            kind=read_kind(request.kind),
            up=read_up(request.up),
            camera_moving=request.camera_moving,
        )
        stamp = header.stamp.sec, header.stamp.nanosec  # the newest may be another one by now
        motion = yield from predict_3d(engine, stamp, question)
        self._show_best(motion)
        return PredictMotion3D.Response(
            **_refusal(motion.refusal),
            header=motion.header,
            positions=floats(motion.positions),
            means=floats(motion.means),
            covariances=floats(motion.covariances[:, (0, 0, 0, 1, 1, 2), (0, 1, 2, 1, 2, 2)]),
            joints=[joint_to_message(joint) for joint in motion.joints],
        )

    def observe_motion(
        self, engine: Engine, request: ObserveMotion.Request
    ) -> Steps[ObserveMotion.Response]:
        from fpt_ros.engine.joints import observe_motion

        before, after = request.stamp_before, request.stamp_after
        seen = yield from observe_motion(
            engine,
            (before.sec, before.nanosec),
            (after.sec, after.nanosec),
            read_pokes(request.pokes),
            read_kind(request.kind),
            read_up(request.up),
        )
        self._show_best(seen)
        return ObserveMotion.Response(
            **_refusal(seen.refusal),
            header=seen.header,
            x=floats(seen.points[:, 0]),
            y=floats(seen.points[:, 1]),
            dx=floats(seen.shifts[:, 0]),
            dy=floats(seen.shifts[:, 1]),
            log_likelihood=floats(seen.log_likelihood),
            surprise=float(seen.surprise),
            joints=[joint_to_message(joint) for joint in seen.joints],
        )

    def _show_best(self, answer: Motion3D | Seen) -> None:
        best = answer.joints[0] if answer.joints and not answer.refusal else None
        self._show(best, answer.handle, answer.header)


def read_pokes_3d(values: Sequence[float]) -> Float[np.ndarray, "q 6"]:
    """Rows x, y, z, dx, dy, dz [m]; RequestError for another length or not finite values."""
    if len(values) % 6 or len(values) > 6 * MAX_POKES:
        raise invalid(
            f"pokes_3d has {len(values)} entries: must be rows of 6, at most {MAX_POKES} of them"
        )
    rows = np.asarray(values, float).reshape(-1, 6)
    for i in np.flatnonzero(~np.isfinite(rows).all(1)):
        raise invalid(f"pokes_3d[{i}] is {rows[i].tolist()}: must be finite numbers")
    return rows


def read_spread(spread: float) -> float:
    if not (np.isfinite(spread) and spread >= 0):
        raise invalid(f"poke_spread is {spread}: must be a finite number of at least 0 [px]")
    return float(spread)


def read_kind(kind: int) -> JointKind:
    if kind not in list(ASKED_FOR):
        allowed = ", ".join(f"{wanted.name} ({wanted:d})" for wanted in ASKED_FOR)
        raise invalid(f"kind is {kind}: must be one of {allowed}")
    return JointKind(kind)


def read_up(up: Vector3) -> Float[np.ndarray, " 3"] | None:
    """A direction; None for zero. RequestError for what is not finite."""
    vector = np.array([up.x, up.y, up.z])
    if not np.isfinite(vector).all():
        raise invalid(f"up is {vector.tolist()}: must be finite numbers")
    return vector if vector.any() else None


def read_mask(image: Image) -> Bool[np.ndarray, "h w"] | None:
    """Which pixels are not 0; None for no mask. RequestError for what is no mask."""
    if not len(image.data):
        return None
    if image.encoding not in MASKS:
        raise invalid(f"mask: encoding is '{image.encoding}': must be {' or '.join(MASKS)}")
    if image.step < image.width or len(image.data) != image.step * image.height:
        raise invalid(
            f"mask: data has {len(image.data)} bytes and step is {image.step}: must be "
            f"{image.height} rows of step bytes, each at least {image.width}"
        )
    rows = np.frombuffer(memory(image.data), np.uint8).reshape(image.height, image.step)
    mask = rows[:, : image.width] > 0
    if not mask.any():
        raise invalid("mask is 0 everywhere: must be other than 0 on the part")
    return np.asarray(mask)


def _refusal(reason: str) -> dict[str, Any]:
    return {"error_code": int(ErrorCode.INVALID_REQUEST), "error_msg": reason} if reason else {}
