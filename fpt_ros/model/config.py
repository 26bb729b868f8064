# SPDX-License-Identifier: Apache-2.0
"""What defines a Flow Poke Transformer: the one dataclass saved with every checkpoint."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import TYPE_CHECKING, Any

from fpt_ros.model.dinov2 import DINOV2_SIZES, PATCH

if TYPE_CHECKING:
    from typing_extensions import Self

SMALL_ENCODER, SMALL_STRIDE = "efficientnet_lite0", 32
ENCODERS = (*DINOV2_SIZES, SMALL_ENCODER)
HEAD_WIDTH = 64

_LIMITS = {  # field: (lowest, highest, must be a multiple of)
    "image_size": (1, 4096, 1),
    "width": (HEAD_WIDTH, 8192, HEAD_WIDTH),
    "depth": (1, 256, 1),
    "components": (1, 255, 1),
}


@dataclasses.dataclass(frozen=True)
class Provenance:
    """Where a model's weights came from."""

    source: str
    """The checkpoint as it was asked for."""
    sha256: str
    """Hash of the file, hexadecimal."""
    license: str
    """Licence of the weights; empty: not stated."""


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The architecture and meaning of a model. Defaults are the released base model.

    With the small encoder it is the plain transformer on that encoder as `SmallModelConfig` has it
    by default; that class holds the encoder's own settings, and the small model's modes.

    Raises:
        ValueError: a field is of the wrong type or outside what is allowed; the message names it.
    """

    encoder: str = "dinov2_vitb14_reg"
    """One of `ENCODERS`."""
    image_size: int = 448
    """Side of the model's square view, pixels; a multiple of the encoder's patch size."""
    width: int = 768
    """Channels of the transformer; heads have 64 each."""
    depth: int = 12
    """Transformer layers."""
    components: int = 4
    """Normals in each predicted mixture (K)."""
    flow_scale: float = 1.0
    """The head's means and Cholesky factors are divided by this: motions are small, and a head
    trained from scratch learns faster at unit scale. The released model has 1."""
    horizon: float = 0.0
    """Seconds between the image and the predicted motion's end; 0: unknown or not fixed."""
    motion_threshold: float = 0.1
    """Nats: where pokes change a point's distribution by more, it belongs to the moving part (if it
    is likely to move at all, see `fpt_ros.inference.moving_part`). Chosen on training scenes."""
    license: str = ""
    """Licence of the weights; empty: not stated."""

    def __post_init__(self) -> None:
        if self.encoder not in ENCODERS:
            raise ValueError(f"encoder is {self.encoder!r}: must be one of {', '.join(ENCODERS)}")
        for name, limits in _LIMITS.items():
            self._check_integer(name, *limits)
        step = SMALL_STRIDE if self.encoder == SMALL_ENCODER else PATCH
        if self.image_size % step:
            raise ValueError(
                f"image_size is {self.image_size}: must be a multiple of {step} for {self.encoder}"
            )
        self._check_number("flow_scale", above=0.0, allowed="a finite number above 0")
        for name in ("horizon", "motion_threshold"):
            self._check_number(name, above=-math.ulp(0.0), allowed="a finite number from 0")
        if not isinstance(self.license, str):
            raise ValueError(f"license is {self.license!r}: must be a string")

    def _check_integer(self, name: str, low: int, high: int, step: int = 1) -> None:
        value = getattr(self, name)
        if type(value) is not int or not low <= value <= high or value % step:
            of = f", a multiple of {step}" if step > 1 else ""
            raise ValueError(f"{name} is {value!r}: must be an integer from {low} to {high}{of}")

    def _check_number(self, name: str, above: float, allowed: str) -> None:
        value = getattr(self, name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or not value > above:
            raise ValueError(f"{name} is {value!r}: must be {allowed}")

    @property
    def heads(self) -> int:
        """Attention heads of a transformer layer."""
        return self.width // HEAD_WIDTH

    def to_json(self) -> str:
        """All fields as a JSON object."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`; a field that is missing has its default.

        Raises:
            ValueError: not a JSON object, an unknown field, or a field out of range.
        """
        values: Any = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError(f"the config is {text[:80]!r}: must be a JSON object")
        return cls.from_fields(values)

    @classmethod
    def from_fields(cls, values: dict[str, Any]) -> Self:
        """As `from_json`, from the object."""
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(f"the config has unknown fields {unknown}: known are {sorted(known)}")
        return cls(**values)
