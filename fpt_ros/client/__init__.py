# SPDX-License-Identifier: Apache-2.0
"""For planners: asks the node `fpt` and gives NumPy arrays, in pixels of the camera's image."""

from fpt_ros.client.motion_client import MotionClient
from fpt_ros.client.results import Evaluation, MotionError, Samples, Segmentation

__all__ = ["Evaluation", "MotionClient", "MotionError", "Samples", "Segmentation"]
