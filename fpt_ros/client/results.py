# SPDX-License-Identifier: Apache-2.0
"""What the node answers, as NumPy arrays, or as the error that it names."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from fpt_ros.engine.motion import Motion
from fpt_ros.msg import ErrorCode
from fpt_ros.ros.conversions import motion_from_message
from fpt_ros.ros.joints import joint_from_message

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32

    from fpt_ros.action import SampleMotion
    from fpt_ros.geometry import Joint
    from fpt_ros.srv import (
        EvaluatePokes,
        HoldImage,
        ObserveMotion,
        PredictMotion,
        PredictMotion3D,
        SegmentMotion,
    )


class MotionError(RuntimeError):
    """The node's answer is an error: `code` is a value of msg/ErrorCode, `message` says why."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} (error_code {code})")
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[Any, ...]:
        return MotionError, (self.code, self.message)  # so that it passes between processes


class NoJointError(MotionError):
    """No joint can be told; `joints` are the hypotheses that were considered, best first."""

    def __init__(self, code: int, message: str, joints: list[Joint]) -> None:
        super().__init__(code, message)
        self.joints = joints

    def __reduce__(self) -> tuple[Any, ...]:
        return NoJointError, (self.code, self.message, self.joints)


@dataclasses.dataclass(frozen=True)
class Motion3D:
    """How N points of a part would move, metres in the image's optical frame; NaN where there is
    no depth."""

    positions: Float32[np.ndarray, "N 3"]
    means: Float32[np.ndarray, "N 3"]
    """Displacements by the best joint."""
    covariances: Float32[np.ndarray, "N 3 3"]
    """Of the displacements about the means [m^2]: what all hypotheses leave open."""
    joints: list[Joint]
    """Best first; their `centre` and `covariance` are not sent, and NaN."""
    header: Header
    """Stamp and frame_id of the image."""


@dataclasses.dataclass(frozen=True)
class Observation:
    """N points that moved between two images, or were foretold to, and what that shows."""

    points: Float32[np.ndarray, "N 2"]
    """In the image before [px]."""
    shifts: Float32[np.ndarray, "N 2"]
    """How they moved [px]."""
    log_likelihood: Float32[np.ndarray, " N"]
    """Log density of the shifts under what was predicted from the pokes [log(1/px^2)]."""
    surprise: float
    """Nats a point beyond what the prediction itself expects; large: something else happened."""
    joints: list[Joint]
    """Fitted to what was seen, best first; empty where there is none."""
    reason: str
    """Why there is no joint; empty where there is one."""
    header: Header
    """Stamp and frame_id of the image before."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How well each of M candidates moves N points to their goals."""

    log_likelihood: Float32[np.ndarray, "M N"]
    """Of the goal displacement, log density per square pixel."""
    probability: Float32[np.ndarray, "M N"]
    """That the point ends within the tolerance of its goal."""
    expected_error: Float32[np.ndarray, "M N"]
    """Mean distance of the point to its goal [px]."""
    best: int
    """The candidate of the highest mean probability; ties: of the lowest mean error."""
    motions: list[Motion]
    """The points' distributions for each candidate; empty unless asked for."""


@dataclasses.dataclass(frozen=True)
class Segmentation:
    """What moves along with the pokes, at the image's size."""

    divergence: Float32[np.ndarray, "h w"]
    """Kullback-Leibler divergence of each pixel's poked from its unpoked motion [nats]."""
    mask: Bool[np.ndarray, "h w"]
    """Whether the pixel moves."""
    header: Header
    """Stamp and frame_id of the image."""


@dataclasses.dataclass(frozen=True)
class Samples:
    """S joint futures of N points: within one the points move in a way that fits each other."""

    displacements: Float32[np.ndarray, "S N 2"]
    """To the right and down [px]."""
    points: Float32[np.ndarray, "N 2"]
    """The image points (x, y) [px]."""
    grid: tuple[int, int]
    """Columns and rows of points that form a grid row by row, (0, 0) for scattered points."""
    header: Header
    """Stamp and frame_id of the image."""


def read_prediction(response: PredictMotion.Response) -> Motion:
    raise_error(response)
    return motion_from_message(response.motion)


def read_evaluation(response: EvaluatePokes.Response, candidates: int) -> Evaluation:
    raise_error(response)
    log_likelihood, probability, expected_error = (
        np.asarray(values, np.float32).reshape(candidates, -1)
        for values in (response.log_likelihood, response.probability, response.expected_error)
    )
    motions = [motion_from_message(motion) for motion in response.motions]
    return Evaluation(log_likelihood, probability, expected_error, response.best, motions)


def read_segmentation(response: SegmentMotion.Response) -> Segmentation:
    raise_error(response)
    divergence = _pixels(response.divergence, np.dtype(np.float32))
    mask = _pixels(response.mask, np.dtype(np.uint8)) > 0
    return Segmentation(divergence, mask, response.divergence.header)


def read_samples(result: SampleMotion.Result) -> Samples:
    raise_error(result)
    motion = result.motion
    points = np.stack([np.asarray(motion.x, np.float32), np.asarray(motion.y, np.float32)], axis=1)
    displacements = np.asarray(motion.displacements, np.float32)
    return Samples(
        displacements.reshape(motion.samples, len(points), 2),
        points,
        (motion.grid_width, motion.grid_height),
        motion.header,
    )


def read_hold(response: HoldImage.Response) -> Header:
    raise_error(response)
    return response.header


def read_motion_3d(response: PredictMotion3D.Response) -> Motion3D:
    joints = [joint_from_message(joint) for joint in response.joints]
    if response.error_code and joints:
        raise NoJointError(response.error_code, response.error_msg, joints)
    raise_error(response)
    six = np.asarray(response.covariances, np.float32).reshape(-1, 6)
    return Motion3D(
        np.asarray(response.positions, np.float32).reshape(-1, 3),
        np.asarray(response.means, np.float32).reshape(-1, 3),
        six[:, ((0, 1, 2), (1, 3, 4), (2, 4, 5))],
        joints,
        response.header,
    )


def read_observation(response: ObserveMotion.Response) -> Observation:
    """Where points were followed, that no joint is seen is part of the answer, and no error."""
    if not response.x:
        raise_error(response)
    columns = (response.x, response.y, response.dx, response.dy)
    rows = np.stack([np.asarray(values, np.float32) for values in columns], axis=1)
    return Observation(
        rows[:, :2],
        rows[:, 2:],
        np.asarray(response.log_likelihood, np.float32),
        response.surprise,
        [joint_from_message(joint) for joint in response.joints],
        response.error_msg,
        response.header,
    )


def raise_error(response: Any) -> None:
    """MotionError for a response that carries an error."""
    if response.error_code != ErrorCode.NONE:
        raise MotionError(response.error_code, response.error_msg)


def _pixels(image: Image, dtype: np.dtype) -> np.ndarray:
    """[h, w] of an image of one channel."""
    dtype = dtype.newbyteorder(">" if image.is_bigendian else "<")
    rows = np.frombuffer(image.data, np.uint8).reshape(image.height, image.step)
    used = rows[:, : image.width * dtype.itemsize]
    return np.ascontiguousarray(used).view(dtype).astype(dtype.newbyteorder("="), copy=False)
