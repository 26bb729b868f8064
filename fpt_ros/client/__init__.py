# SPDX-License-Identifier: Apache-2.0
"""For planners: asks the node `fpt` and gives NumPy arrays, in pixels of the camera's image."""

from fpt_ros.client.motion_client import MotionClient
from fpt_ros.client.results import (
    Evaluation,
    Motion3D,
    MotionError,
    NoJointError,
    Observation,
    Samples,
    Segmentation,
)

__all__ = [
    "Evaluation",
    "Motion3D",
    "MotionClient",
    "MotionError",
    "NoJointError",
    "Observation",
    "Samples",
    "Segmentation",
]
