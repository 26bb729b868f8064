"""The Flow Poke Transformer: network, mixture and checkpoints. Knows nothing of ROS."""

from fpt_ros.model.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from fpt_ros.model.config import ENCODERS, ModelConfig
from fpt_ros.model.flow_poke import EmbeddedImage, FlowPokeTransformer
from fpt_ros.model.mixture import MotionMixture

__all__ = [
    "ENCODERS",
    "CheckpointError",
    "EmbeddedImage",
    "FlowPokeTransformer",
    "ModelConfig",
    "MotionMixture",
    "load_checkpoint",
    "save_checkpoint",
]
