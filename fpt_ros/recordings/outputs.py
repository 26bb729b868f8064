# SPDX-License-Identifier: Apache-2.0
"""What a run writes for an image: the messages that the node would publish, with its header."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from fpt_ros.drawing import draw_motion
from fpt_ros.recordings.annotations import motion_annotations
from fpt_ros.recordings.cameras import COMPRESSED, RAW
from fpt_ros.recordings.message_types import message_types
from fpt_ros.recordings.reading import Message

if TYPE_CHECKING:
    from jaxtyping import UInt8

    from fpt_ros.engine.motion import Motion

JPEG_QUALITY = 90
LAST = "/annotations"
"""The last of an image's messages: where it is written, all are."""


def output_messages(
    motion: Motion, rgb: UInt8[np.ndarray, "h w 3"], namespace: str, time: int
) -> list[Message]:
    """Motion, flow, overlay and annotations of an image; `motion` is on a grid.

    Args:
        time: when the image was recorded, ns.
    """
    found = [
        ("/motion", "fpt_ros/msg/MotionDistributions", motion_message(motion)),
        ("/flow", RAW, _flow(motion)),
        ("/overlay/compressed", COMPRESSED, _overlay(motion, rgb)),
        (LAST, "foxglove_msgs/msg/ImageAnnotations", motion_annotations(motion, motion.header)),
    ]
    serialize = message_types().serialize_cdr
    return [
        Message(namespace + topic, kind, time, bytes(serialize(message, kind)))
        for topic, kind, message in found
    ]


def motion_message(motion: Motion) -> Any:
    """fpt_ros/msg/MotionDistributions; the field meanings are in the .msg file."""
    types = message_types().types
    poke = types["fpt_ros/msg/Poke"]
    whole, rest = divmod(round(motion.horizon * 1e9), 10**9)
    return types["fpt_ros/msg/MotionDistributions"](
        header=motion.header,
        horizon=types["builtin_interfaces/msg/Duration"](whole, rest),
        image_width=motion.image_size[0],
        image_height=motion.image_size[1],
        pokes=[poke(*row) for row in motion.pokes.tolist()],
        camera_moving=motion.camera_moving,
        grid_width=motion.grid[0],
        grid_height=motion.grid[1],
        components=motion.weights.shape[1],
        x=_floats(motion.points[:, 0]),
        y=_floats(motion.points[:, 1]),
        weights=_floats(motion.weights),
        means=_floats(motion.means),
        covariances=_floats(motion.covariances[:, :, (0, 0, 1), (0, 1, 1)]),
    )


def _flow(motion: Motion) -> Any:
    flow = np.ascontiguousarray(motion.flow, "<f4")
    rows, columns = flow.shape[:2]
    data = flow.view(np.uint8).ravel()
    return message_types().types[RAW](motion.header, rows, columns, "32FC2", 0, columns * 8, data)


def _overlay(motion: Motion, rgb: UInt8[np.ndarray, "h w 3"]) -> Any:
    picture = draw_motion(
        rgb,
        motion.pokes,
        motion.points,
        motion.weights,
        motion.means,
        motion.covariances,
        motion.grid,
    )
    data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return message_types().types[COMPRESSED](
        motion.header, "rgb8; jpeg compressed bgr8", data.ravel()
    )


def _floats(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, np.float32).ravel()
