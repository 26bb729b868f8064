# SPDX-License-Identifier: Apache-2.0
"""What defines our small model: saved with its checkpoints, so that code may change."""

from __future__ import annotations

import dataclasses

from fpt_ros.model.config import SMALL_ENCODER, ModelConfig

_CELL = 8
"""Pixels of the picture along a cell of the encoder's map."""


@dataclasses.dataclass(frozen=True)
class SmallModelConfig(ModelConfig):
    """The settings of the small model beside those of the published one. Defaults are the
    architecture of the embedded weights.

    Raises:
        ValueError: as `ModelConfig`.
    """

    encoder: str = SMALL_ENCODER
    """`efficientnet_lite0`, the only one."""
    image_size: int = 224
    """Side of the model's square view, pixels; a multiple of 32."""
    width: int = 192
    depth: int = 4
    flow_scale: float = 20.0
    modes: int = 4
    """Fields that the motions of one body are made of, for a guess that the transformer starts
    from (see `fpt_ros.model.small.modes`). 0: no guess, as the released model."""
    mode_width: int = 192
    """Hidden channels of the network that gives the modes at each cell."""
    reach: float = 0.2
    """Image sides from the point that they are about at which the affine modes that grow are 1."""
    feature_channels: int = 128
    """Channels of the encoder's features, a multiple of its attention's heads."""
    pair_channels: int = 48
    """Channels of the pair embedding: close to each other on one body."""
    encoder_heads: int = 4
    """Heads of the encoder's attention."""
    pooling: int = 2
    """Side of the squares of cells that the encoder's attention looks up as one; it divides the
    side of the map, which has a cell for every 8 pixels."""
    encoder_norm_eps: float = 1e-5
    """Added to the variance in the encoder's layer norms."""

    def __post_init__(self) -> None:
        if self.encoder != SMALL_ENCODER:
            raise ValueError(
                f"encoder is {self.encoder!r}: must be {SMALL_ENCODER} in the small model, which "
                "alone has modes"
            )
        super().__post_init__()
        for name in ("mode_width", "feature_channels", "pair_channels", "encoder_heads"):
            self._check_integer(name, 1, 8192)
        self._check_integer("modes", 0, 64)
        self._check_integer("pooling", 1, self.image_size // _CELL)
        if self.image_size // _CELL % self.pooling:
            raise ValueError(
                f"pooling is {self.pooling}: must divide the {self.image_size // _CELL} cells "
                "along a side of the map"
            )
        if self.feature_channels % self.encoder_heads:
            raise ValueError(
                f"feature_channels is {self.feature_channels}: must be a multiple of the "
                f"{self.encoder_heads} heads (encoder_heads)"
            )
        for name in ("reach", "encoder_norm_eps"):
            self._check_number(name, above=0.0, allowed="a finite number above 0")


def with_encoder_settings(config: ModelConfig) -> SmallModelConfig:
    """A config on the small encoder with the encoder's settings: the default ones, and no modes, if
    it has none.

    Raises:
        ValueError: another encoder.
    """
    if isinstance(config, SmallModelConfig):
        return config
    return SmallModelConfig(**dataclasses.asdict(config), modes=0)
