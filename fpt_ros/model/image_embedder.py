# SPDX-License-Identifier: Apache-2.0
"""From images of any size to the feature map of their central square."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpt_ros.model.config import SMALL_ENCODER, ModelConfig
from fpt_ros.model.dinov2 import DinoV2Encoder
from fpt_ros.model.small.config import with_encoder_settings
from fpt_ros.model.small.encoder import EfficientNetLite0Encoder

if TYPE_CHECKING:
    from jaxtyping import Float


class ImageEmbedder(nn.Module):
    """Images of any size to the feature map of their central square."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.image_size = config.image_size
        self.model: DinoV2Encoder | EfficientNetLite0Encoder
        if config.encoder == SMALL_ENCODER:
            self.model = EfficientNetLite0Encoder(with_encoder_settings(config))
        else:
            self.model = DinoV2Encoder(config.encoder)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d gh gw"]:
        square = resize(central_square(images), self.image_size)
        return self.model(square.to(next(self.model.parameters()).dtype))


def central_square(images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c s s"]:
    """The largest centred square; odd remainders fall as Python's round has it."""
    height, width = images.shape[-2:]
    side = min(height, width)
    top, left = round((height - side) / 2), round((width - side) / 2)
    return images[..., top : top + side, left : left + side]


def resize(images: Float[Tensor, "b c s s"], size: int) -> Float[Tensor, "b c size size"]:
    """Bilinear with antialiasing."""
    if images.shape[-1] == size:
        return images
    return F.interpolate(images, size=(size, size), mode="bilinear", antialias=True)


def cell_centres(features: Float[Tensor, "b d gh gw"]) -> Float[Tensor, "b n 2"]:
    """Positions of the map's cells in the unit square, row by row."""
    height, width = features.shape[-2:]
    y = (torch.arange(height, device=features.device) + 0.5) / height
    x = (torch.arange(width, device=features.device) + 0.5) / width
    centres = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).flatten(0, 1)
    return centres.expand(len(features), -1, -1)
