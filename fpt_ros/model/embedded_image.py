# SPDX-License-Identifier: Apache-2.0
"""What the first stage leaves for the others."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from torch import Tensor

from fpt_ros.model.attention import KeysValues

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclasses.dataclass(frozen=True)
class EmbeddedImage:
    """All that predictions need of some images, and that pokes and queries do not change.

    Predictions may have more rows than there are images, a multiple: consecutive rows then share
    an image.
    """

    features: Float[Tensor, "b d gh gw"]
    """The encoder's map, float32."""
    keys_values: tuple[KeysValues, ...]
    """What the cross-attention looks up, one entry a layer."""
    gains: Float[Tensor, "depth 3 2 w"]
    """The norms' gains with a moving (0) and a static (1) camera."""
