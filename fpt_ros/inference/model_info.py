# SPDX-License-Identifier: Apache-2.0
"""What a caller may want to know of a model."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fpt_ros.model import FlowPokeTransformer


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """Facts about a loaded model."""

    checkpoint: str
    sha256: str
    license: str
    device: str
    dtype: str
    horizon: float
    """Seconds; 0: unknown or not fixed."""
    components: int
    view_size: int
    """Side of the model's square view, pixels."""
    parameters: int

    @classmethod
    def of(cls, model: FlowPokeTransformer) -> ModelInfo:
        config, origin = model.config, model.provenance
        return cls(
            checkpoint=origin.source if origin else "",
            sha256=origin.sha256 if origin else "",
            license=origin.license if origin else config.license,
            device=str(model.device),
            dtype=str(model.dtype).removeprefix("torch."),
            horizon=float(config.horizon),
            components=config.components,
            view_size=config.image_size,
            parameters=sum(parameter.numel() for parameter in model.parameters()),
        )
