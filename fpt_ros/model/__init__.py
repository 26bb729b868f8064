# SPDX-License-Identifier: Apache-2.0
"""The Flow Poke Transformer: network, mixture and checkpoints. Knows nothing of ROS."""

from fpt_ros.model.build import build_model
from fpt_ros.model.checkpoint import load_checkpoint, save_checkpoint
from fpt_ros.model.config import ENCODERS, ModelConfig
from fpt_ros.model.embedded_image import EmbeddedImage
from fpt_ros.model.files import CheckpointError
from fpt_ros.model.flow_poke import FlowPokeTransformer
from fpt_ros.model.mixture import MotionMixture
from fpt_ros.model.small.config import SmallModelConfig

__all__ = [
    "ENCODERS",
    "CheckpointError",
    "EmbeddedImage",
    "FlowPokeTransformer",
    "ModelConfig",
    "MotionMixture",
    "SmallModelConfig",
    "build_model",
    "load_checkpoint",
    "save_checkpoint",
]
