# SPDX-License-Identifier: Apache-2.0
"""The pictures of all tabs, embedded: their memory is bounded, however many tabs there are."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt8

    from fpt_ros import Predictor
    from fpt_ros.inference.context import ImageContext

MOST_BYTES = 512 * 2**20
"""Six pictures of the released model, 90 of the embedded one."""


@dataclasses.dataclass(frozen=True, eq=False)
class Pixels:
    """A picture that is open somewhere."""

    rgb: UInt8[np.ndarray, "h w 3"]


class Embeddings:
    """Keeps the pictures that were asked about last; others are embedded again when they are asked
    about. A picture that is gone takes its memory along. For one thread: the one that computes."""

    def __init__(self, predictor: Predictor, most_bytes: int = MOST_BYTES) -> None:
        self._predictor = predictor
        self._most_bytes = most_bytes
        self._kept: WeakKeyDictionary[Pixels, ImageContext] = WeakKeyDictionary()

    def of(self, picture: Pixels) -> ImageContext:
        """The picture, embedded."""
        context = self._kept.pop(picture, None) or self._predictor.embed(picture.rgb)
        self._kept[picture] = context  # behind all others
        while len(self._kept) > 1 and self.nbytes > self._most_bytes:
            del self._kept[next(iter(self._kept))]
        return context

    @property
    def nbytes(self) -> int:
        """Memory that they hold on the model's device, bytes."""
        return sum(context.nbytes for context in self._kept.values())
