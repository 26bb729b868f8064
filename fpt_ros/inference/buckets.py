# SPDX-License-Identifier: Apache-2.0
"""Requests padded to a fixed form, so that one compiled graph serves many of them.

Compilers take sizes of 0 and 1 for constants, and each size that they have not seen costs a CUDA
graph of its own. So rows, pokes and queries are padded at their ends, to the next power of two from
2 on. Each row reads its own number of pokes; what the padding is answered is thrown away.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.fx.experimental import _config as symbolic_shapes

from fpt_ros.model import EmbeddedImage, FlowPokeTransformer, MotionMixture

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Bool, Float, Int


@dataclasses.dataclass(frozen=True)
class Padded:
    """What `FlowPokeTransformer.predict_parallel` takes of a request, padded."""

    poke_pos: Float[Tensor, "b p 2"]
    poke_flow: Float[Tensor, "b p 2"]
    lengths: Int[Tensor, "b 1"]
    """How many of its pokes each row reads."""
    query_pos: Float[Tensor, "b q 2"]
    camera_static: Bool[Tensor, "b"]

    def tensors(self) -> tuple[Tensor, ...]:
        """All of them, in their order."""
        return tuple(getattr(self, field.name) for field in dataclasses.fields(self))

    def ask(self, model: FlowPokeTransformer, image: EmbeddedImage) -> MotionMixture:
        """Mixtures [b, q], of padding too."""
        pokes = self.poke_pos, self.poke_flow
        return model.poke_and_query(
            *pokes, self.query_pos, self.camera_static, image, lengths=self.lengths
        )[1]


def bucket(size: int) -> int:
    """The size to which so many are padded."""
    return max(2, 1 << (size - 1).bit_length())


def pad(
    poke_pos: Float[Tensor, "b p 2"],
    poke_flow: Float[Tensor, "b p 2"],
    query_pos: Float[Tensor, "b q 2"],
    camera_static: bool | Bool[Tensor, "b"],
    lengths: Int[Tensor, "b 1"] | None = None,
    images: int = 1,
) -> Padded:
    """A request in the sizes of its bucket; arguments as `predict_parallel` has them.

    Args:
        lengths: how many of its pokes each row reads; None: all.
        images: consecutive rows share one of so many; rows are padded at the end of each one's.
    """
    rows, pokes = poke_pos.shape[:2]
    if not isinstance(camera_static, Tensor):
        camera_static = query_pos.new_full((rows,), camera_static, dtype=torch.bool)
    if lengths is None:
        lengths = query_pos.new_full((rows, 1), pokes, dtype=torch.int64)

    def padded(tensor: Tensor, *dims: int) -> Tensor:
        each = _grown(tensor.unflatten(0, (images, -1)), 1)
        for dim in dims:
            each = _grown(each, dim)
        return each.flatten(0, 1)

    return Padded(
        padded(poke_pos, 2),
        padded(poke_flow, 2),
        padded(lengths),
        padded(query_pos, 2),
        padded(camera_static),
    )


def unpad(mixture: MotionMixture, rows: int, queries: int, images: int = 1) -> MotionMixture:
    """Of the mixtures of a padded request those that were asked for, [rows, queries]."""
    each = mixture.unflatten(0, (images, mixture.shape[0] // images))
    asked = [
        field[:, : rows // images, :queries].flatten(0, 1)
        for field in (each.logits, each.locs, each.scale_tril)
    ]
    return MotionMixture(*asked)


def compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """`function(model, padded, image)` through `torch.compile`, in one graph for all sizes.

    Args:
        options: those of `torch.compile`.
    """
    inner = torch.compile(function, fullgraph=True, **options)

    def call(model: FlowPokeTransformer, padded: Padded, image: Any) -> Any:
        for tensor in padded.tensors():
            torch._dynamo.mark_dynamic(tensor, 0)
        for tensor in (padded.poke_pos, padded.poke_flow, padded.query_pos):
            torch._dynamo.mark_dynamic(tensor, 1)
        # Else sizes that are equal in the first call are taken for equal in every one.
        with symbolic_shapes.patch(use_duck_shape=False):  # type: ignore[attr-defined]
            return inner(model, padded, image)

    return call


def _grown(tensor: Tensor, dim: int) -> Tensor:
    """With zeros behind, up to the bucket's size."""
    size = tensor.shape[dim]
    return F.pad(tensor, (*(0, 0) * (tensor.ndim - 1 - dim), 0, bucket(size) - size))
