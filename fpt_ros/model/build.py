# SPDX-License-Identifier: Apache-2.0
"""The network that a config stands for."""

from fpt_ros.model.config import ModelConfig
from fpt_ros.model.flow_poke import FlowPokeTransformer
from fpt_ros.model.small.config import SmallModelConfig
from fpt_ros.model.small.network import SmallFlowPokeTransformer


def build_model(config: ModelConfig) -> FlowPokeTransformer:
    """The published network, or the small model where the config has modes; untrained."""
    if isinstance(config, SmallModelConfig) and config.modes:
        return SmallFlowPokeTransformer(config)
    return FlowPokeTransformer(config)
