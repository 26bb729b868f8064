"""What a caller may want to know of a model."""

from __future__ import annotations

import dataclasses


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
