# SPDX-License-Identifier: Apache-2.0
"""Questions in metres: what pokes would do to a part in space, and what a push was seen to do."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from fpt_ros.engine.depths import depth_of
from fpt_ros.engine.engine import NO_POINTS, NO_POKES
from fpt_ros.engine.errors import ErrorCode, RequestError, invalid
from fpt_ros.geometry import (
    Field,
    JointFlag,
    JointKind,
    NoJoint,
    depth_at,
    displacements,
    fit_joints,
    observe,
)
from fpt_ros.inference.local_segmentation import poked_part_steps
from fpt_ros.inference.moving_part import moving_probability

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Bool, Float, Float32

    from fpt_ros.engine.engine import Engine
    from fpt_ros.engine.frames import Frame, Stamp
    from fpt_ros.geometry import Camera, Joint, Observation
    from fpt_ros.inference.local_segmentation import PokedPart
    from fpt_ros.inference.steps import Steps

PART_POINTS = 100
"""Of the poked part, that are answered where no points are asked for."""
FIELD_POINTS = 16
"""At most, of the predicted field that joints are fitted to."""
OBSERVED_POINTS = 400
"""At most, that an observation answers."""


@dataclasses.dataclass(frozen=True)
class Question3D:
    """What pokes of one part are known to do; checked, but for the image."""

    pokes: Float32[np.ndarray, "p 4"]
    pokes_3d: Float[np.ndarray, "q 6"]
    """x, y, z, dx, dy, dz in the image's optical frame [m]."""
    points: Float32[np.ndarray, "n 2"]
    """Whose motion is asked for [px]; none: some of the part."""
    mask: Bool[np.ndarray, "h w"] | None = None
    """The part; None: predicted."""
    poke_spread: float = 0.0
    """Standard deviation of where pokes end [px]."""
    kind: JointKind = JointKind.UNKNOWN
    up: Float[np.ndarray, " 3"] | None = None
    camera_moving: bool = False


@dataclasses.dataclass(frozen=True)
class Motion3D:
    """Displacements of points [m] in the image's optical frame, NaN where there is no depth."""

    positions: Float[np.ndarray, "n 3"]
    means: Float[np.ndarray, "n 3"]
    covariances: Float[np.ndarray, "n 3 3"]
    joints: Sequence[Joint]
    """Best first."""
    handle: Float[np.ndarray, " 3"]
    """Where the first poke with depth begins [m]."""
    header: Any
    """Of the image."""
    refusal: str = ""
    """Why no joint can be told; `joints` then holds what was considered, and there are no points.
    """


@dataclasses.dataclass(frozen=True)
class Seen:
    """Points that were followed between two images, and what that shows."""

    points: Float[np.ndarray, "n 2"]
    shifts: Float[np.ndarray, "n 2"]
    """Pixels."""
    log_likelihood: Float[np.ndarray, " n"]
    """Log density of the shifts under what was predicted [log(1/px^2)]."""
    surprise: float
    """Nats a point beyond what the prediction itself expects."""
    joints: Sequence[Joint]
    handle: Float[np.ndarray, " 3"]
    """Where the first poke with depth began [m]; NaN without pokes."""
    header: Any
    """Of the image before."""
    refusal: str = ""
    """Why there is no joint."""


def predict_3d(engine: Engine, stamp: Stamp, question: Question3D) -> Steps[Motion3D]:
    """The joints that a part would have whose points move as the pokes say, and its motion.

    RequestError for what cannot be asked: no pokes, no depth or camera, a mask of another size.
    """
    frame = engine.find(stamp)
    engine.check_on_image(frame, question.pokes, question.points)
    camera, depth = camera_of(engine, frame), depth_of(frame)
    pokes = np.vstack([question.pokes, _seen_pokes(engine, frame, camera, question.pokes_3d)])
    if not len(pokes):
        raise invalid("pokes and pokes_3d are empty: at least 1 poke is needed")
    mask, field = question.mask, None
    if mask is None:
        context = yield from engine.embed(frame)
        steps = poked_part_steps(engine.predictor, context, pokes, question.camera_moving)
        with engine.statistics.timed("poked part"):
            part = yield from steps
        mask, field = part.mask, _field(part)
    elif mask.shape != depth.shape:
        raise invalid(
            f"mask is {mask.shape[1]} x {mask.shape[0]}: must be as large as the image, "
            f"{frame.size[0]} x {frame.size[1]}"
        )
    handle = _handle(camera, depth, question.pokes, question.pokes_3d)
    with engine.statistics.timed("joint"):
        joints, refusal = _fitted(camera, depth, question, mask, field)
    yield
    if refusal:
        nothing = np.zeros((0, 3))
        return Motion3D(
            nothing, nothing, np.zeros((0, 3, 3)), joints, handle, frame.header, refusal
        )
    points = question.points if len(question.points) else _some_of(mask, depth, pokes)
    positions = camera.unproject(points, depth_at(depth, points))
    means, covariances = displacements(joints, positions)
    engine.statistics.succeeded()
    return Motion3D(positions, means, covariances, joints, handle, frame.header)


def observe_motion(
    engine: Engine,
    before: Stamp,
    after: Stamp,
    pokes: Float32[np.ndarray, "p 4"],
    kind: JointKind,
    up: Float[np.ndarray, " 3"] | None,
) -> Steps[Seen]:
    """What moved between two kept images, and how likely that was, given the pokes.

    RequestError for images that are not kept, are the same or differ in size, and where there is
    no camera or no depth of the first.
    """
    first, last = engine.find(before), engine.find(after)
    if first is last:
        raise invalid(f"stamp_before and stamp_after are both {first.text}: must be two images")
    engine.check_on_image(first, pokes, NO_POINTS)
    engine.check_on_image(last, NO_POKES, NO_POINTS)
    if first.size != last.size:
        raise invalid(f"the images are {first.size} and {last.size} pixels: must be as large")
    camera, depth = camera_of(engine, first), depth_of(first)
    depth_after = None if last.depth is None else depth_of(last)
    with engine.statistics.timed("observe"):
        seen = observe(camera, first.rgb, last.rgb, depth, depth_after, pokes, kind=kind, up=up)
    yield
    context = yield from engine.embed(first)
    points, shifts, log_likelihood, surprise = _judged(engine, context, pokes, seen)
    yield
    engine.statistics.succeeded()
    handle = _handle(camera, depth, pokes, np.zeros((0, 6)))
    return Seen(
        points, shifts, log_likelihood, surprise, seen.joints, handle, first.header, seen.reason
    )


def camera_of(engine: Engine, frame: Frame) -> Camera:
    """The camera of a frame.

    RequestError NO_IMAGE where no camera_info has come, INVALID_REQUEST for one that is not
    calibrated or for images of another size.
    """
    if engine.read_camera is None:
        raise RequestError(
            ErrorCode.NO_IMAGE, "no camera_info has arrived: metres need a calibrated camera"
        )
    try:
        camera = engine.read_camera()
    except ValueError as error:
        raise invalid(f"camera_info: {error}") from error
    if (camera.width, camera.height) != frame.size:
        raise invalid(
            f"camera_info is for images of {camera.width} x {camera.height}: the image is "
            f"{frame.size[0]} x {frame.size[1]}"
        )
    return camera


def _seen_pokes(
    engine: Engine, frame: Frame, camera: Camera, pokes: Float[np.ndarray, "q 6"]
) -> Float32[np.ndarray, "q 4"]:
    """Pokes in space as the image shows them [px]; RequestError for those that it does not."""
    start, end = camera.project(pokes[:, :3]), camera.project(pokes[:, :3] + pokes[:, 3:])
    rows = np.column_stack([start, end - start]).astype(np.float32)
    for i in np.flatnonzero(~np.isfinite(rows).all(1)):
        raise invalid(
            f"pokes_3d[{i}] is {np.round(pokes[i], 3).tolist()} in the image's frame: must begin "
            "and end in front of the camera"
        )
    engine.check_on_image(frame, rows, NO_POINTS, "pokes_3d, seen in the image as ")
    return rows


def _field(part: PokedPart) -> Field | None:
    """Some of the predicted motions; none where no part was found."""
    if not len(part.points):
        return None
    chosen = np.linspace(0, len(part.points) - 1, min(FIELD_POINTS, len(part.points))).astype(int)
    return Field(part.points[chosen], part.mean[chosen], part.covariance[chosen])


def _fitted(
    camera: Camera,
    depth: Float32[np.ndarray, "h w"],
    question: Question3D,
    mask: Bool[np.ndarray, "h w"],
    field: Field | None,
) -> tuple[Sequence[Joint], str]:
    """Joints, best first, and why none of them should be taken, if so."""
    try:
        joints = fit_joints(
            camera,
            depth,
            question.pokes,
            mask if mask.any() else None,
            pokes_3d=question.pokes_3d if len(question.pokes_3d) else None,
            poke_spread=question.poke_spread,
            kind=question.kind,
            up=question.up,
            field=field,
        )
    except NoJoint as no:
        return no.joints, str(no)
    if joints[0].flags & JointFlag.HYPOTHESES_DISAGREE:
        return joints, (
            "hypotheses that explain the pokes as well move the part otherwise: give more pokes, "
            "longer ones, the kind, or a mask, or observe a small push"
        )
    return joints, ""


def _handle(
    camera: Camera,
    depth: Float32[np.ndarray, "h w"],
    pokes: Float32[np.ndarray, "p 4"],
    pokes_3d: Float[np.ndarray, "q 6"],
) -> Float[np.ndarray, " 3"]:
    """Where the first poke with depth begins; NaN if there is none."""
    starts = camera.unproject(pokes[:, :2], depth_at(depth, pokes[:, :2]))
    starts = np.vstack([starts, pokes_3d[:, :3], np.full((1, 3), np.nan)])
    known = np.flatnonzero(np.isfinite(starts).all(1))
    return np.asarray(starts[known[0]] if len(known) else starts[-1])


def _some_of(
    mask: Bool[np.ndarray, "h w"],
    depth: Float32[np.ndarray, "h w"],
    pokes: Float32[np.ndarray, "p 4"],
) -> Float[np.ndarray, "n 2"]:
    """Evenly chosen pixels of the part with depth; the pokes' places where there is no part."""
    inside = np.flatnonzero(mask & np.isfinite(depth))
    if not len(inside):
        return np.asarray(pokes[:, :2])
    chosen = inside[np.linspace(0, len(inside) - 1, min(PART_POINTS, len(inside))).astype(int)]
    rows, columns = np.unravel_index(chosen, mask.shape)
    return np.column_stack([columns, rows]).astype(float)


def _judged(
    engine: Engine, context: Any, pokes: Float32[np.ndarray, "p 4"], seen: Observation
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Points that moved or were foretold to, their shifts, how likely these were; the surprise."""
    points = seen.points
    if not len(points):
        return np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0), float("nan")
    motion = engine.predictor.predict(context, pokes, points)
    foretold = moving_probability(motion, max(context.view.sides)).numpy() > 0.5
    chosen = np.flatnonzero(seen.moved | foretold)
    if not len(chosen):  # nothing moved, and nothing should
        chosen = np.arange(len(points))
    chosen = chosen[np.linspace(0, len(chosen) - 1, min(OBSERVED_POINTS, len(chosen))).astype(int)]
    motion = motion[chosen]
    shifts = seen.shifts[chosen]
    log_likelihood = motion.log_prob(motion.mean.new_tensor(shifts))
    surprise = float((-log_likelihood - motion.entropy()).mean())
    return points[chosen], shifts, log_likelihood.numpy(), surprise
