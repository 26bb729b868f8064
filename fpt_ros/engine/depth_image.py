# SPDX-License-Identifier: Apache-2.0
"""A depth image that waits until it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fpt_ros.geometry.depth import read_depth

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from jaxtyping import Float32, Shaped


class Depth:
    """One depth image, registered to a picture; decoded when first needed, by one thread."""

    def __init__(
        self, stamp: tuple[int, int], decode: Callable[[], Shaped[np.ndarray, "h w"]]
    ) -> None:
        """Seconds and nanoseconds; what gives uint16 millimetres or float32 metres, or raises
        ImageError."""
        self.stamp = stamp
        self._decode: Callable[[], Shaped[np.ndarray, "h w"]] | None = decode
        self._metres: Float32[np.ndarray, "h w"] | None = None

    @property
    def metres(self) -> Float32[np.ndarray, "h w"]:
        """NaN for holes; ImageError if it cannot be decoded."""
        if self._metres is None:
            assert self._decode is not None
            self._metres = read_depth(self._decode())
            self._decode = None  # it holds the message
        return self._metres
