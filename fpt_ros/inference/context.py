# SPDX-License-Identifier: Apache-2.0
"""What is computed once for an image and kept for any number of predictions on it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from fpt_ros.inference.view import View
from fpt_ros.model import EmbeddedImage, MotionMixture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Float64


@dataclasses.dataclass(frozen=True)
class UnpokedField:
    """How the points of a grid move by themselves: what segmentation compares with."""

    points: Float64[np.ndarray, "n 2"]
    """Pixels."""
    motion: MotionMixture
    """[n], pixels, on the model's device."""


@dataclasses.dataclass(frozen=True)
class ImageContext:
    """What predictions need of one image; made by `Predictor.embed`, kept for any number."""

    view: View
    embedded: EmbeddedImage
    unit: Float64[Tensor, "2"]
    """What is one unit of the model in x and in y, pixels; on the model's device."""
    unpoked: dict[bool, UnpokedField] = dataclasses.field(default_factory=dict, repr=False)
    """For each `camera_moving`, once it was asked for by `Predictor.segment`."""

    @property
    def width(self) -> int:
        """Of the image, pixels."""
        return self.view.width

    @property
    def height(self) -> int:
        """Of the image, pixels."""
        return self.view.height

    @property
    def nbytes(self) -> int:
        """Memory that it holds on the model's device, bytes.

        Almost all are the keys and values of the transformer's cross-attention: 2 * depth * width
        numbers for each cell of the encoder's map. A segmentation adds its unpoked field.
        """
        return sum(t.numel() * t.element_size() for t in _tensors((self.embedded, self.unpoked)))


def separate(embedded: EmbeddedImage) -> list[EmbeddedImage]:
    """The images of a batch, each with memory of its own, so that one can be let go alone."""
    own = [f.name for f in dataclasses.fields(embedded) if f.name != "gains"]  # these are shared
    return [
        dataclasses.replace(embedded, **{name: _one(getattr(embedded, name), i) for name in own})
        for i in range(len(embedded.features))
    ]


def _one(value: Any, index: int) -> Any:
    """A copy of one image's part of a tensor, or of tuples of such."""
    if isinstance(value, Tensor):
        return value[index : index + 1].clone()
    parts = [_one(part, index) for part in value]
    return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)


def _tensors(value: Any) -> Iterator[Tensor]:
    """All tensors that a value holds, at any depth."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _tensors(getattr(value, field.name))
