# SPDX-License-Identifier: Apache-2.0
"""Layers for inference on a CPU, whose weight lies in oneDNN's own layout, and nowhere else.

Two to three times as fast as PyTorch's plain products where those go to MKL on a CPU of another
maker; its plain convolution rearranges the weight in every call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpt_ros.model.small.encoder import Conv2d, SameConv2d

if TYPE_CHECKING:
    from jaxtyping import Float

# The operators that torch itself uses in compiled graphs.
_ONEDNN = torch.ops.mkldnn
PACKING_IS_AVAILABLE = torch.backends.mkldnn.is_available() and all(
    hasattr(_ONEDNN, name)
    for name in (
        "_linear_pointwise",
        "_reorder_linear_weight",
        "_convolution_pointwise",
        "_reorder_convolution_weight",
    )
)
_TYPICAL_ROWS = 64  # the layout is good for any number of rows; oneDNN wants one to choose it
_FEW_ROWS, _SMALL = 16, 2**20
"""Up to so many rows of a weight of up to so many bytes, a plain product is faster: oneDNN takes
longer to prepare itself than to multiply."""


class Packed(nn.Module):
    """A layer whose weight nobody can write to, so that its copies may be the layer itself."""

    def __deepcopy__(self, memo: dict) -> Packed:
        return self


class PackedLinear(Packed):
    """`nn.Linear` for inference, with a packed weight. Gradients reach its input alone."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        weight = layer.weight.detach()
        self.packed = _ONEDNN._reorder_linear_weight(weight, _TYPICAL_ROWS)
        self.bias = None if layer.bias is None else layer.bias.detach()
        self.plain, self.few = _plain(layer)

    def forward(self, x: Float[Tensor, "*rows in"]) -> Float[Tensor, "*rows out"]:
        if x.requires_grad:
            return F.linear(x, self.packed.to_dense(), self.bias)
        if self.plain is None or x.numel() > self.few:
            return _ONEDNN._linear_pointwise(x, self.packed, self.bias, "none", [], "")
        if self.bias is None:
            return x @ self.plain
        return _product_plus(self.bias, x, self.plain)

    def plus(self, y: Float[Tensor, "*rows out"], x: Float[Tensor, "*rows in"]) -> Tensor:
        """y + forward(x), the sum taken while the product is still at hand."""
        if x.requires_grad:
            return y + self(x)
        if self.plain is None or x.numel() > self.few:
            return _ONEDNN._linear_pointwise.binary(x, y, self.packed, self.bias, "add")
        y = y if self.bias is None else y + self.bias
        return _product_plus(y.reshape(-1, self.plain.shape[1]), x, self.plain)


class PackedGatedLinear(Packed):
    """values(x) * SiLU(gates(x)), where the layer gives the values and after them the gates."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        weight = layer.weight.detach()
        self.values, self.gates = (
            _ONEDNN._reorder_linear_weight(half.contiguous(), _TYPICAL_ROWS)
            for half in weight.chunk(2)
        )
        self.plain, self.few = _plain(layer)

    def forward(self, x: Float[Tensor, "*rows in"]) -> Float[Tensor, "*rows out"]:
        if x.requires_grad:
            values, gates = (F.linear(x, half.to_dense()) for half in (self.values, self.gates))
        elif self.plain is None or x.numel() > self.few:
            gates = _ONEDNN._linear_pointwise(x, self.gates, None, "swish", [], "")
            return _ONEDNN._linear_pointwise.binary(x, gates, self.values, None, "mul")
        else:
            values, gates = (x @ self.plain).chunk(2, -1)
        return values * F.silu(gates)


class PackedConv2d(Packed):
    """A convolution of the small encoder for inference, with a packed weight."""

    def __init__(self, layer: Conv2d) -> None:
        super().__init__()
        self.extra = layer.extra if isinstance(layer, SameConv2d) else ()
        self.bias = None if layer.bias is None else layer.bias.detach()
        self.shape = layer.padding, layer.stride, layer.dilation, layer.groups
        self.packed = _ONEDNN._reorder_convolution_weight(layer.weight.detach(), *self.shape)

    def forward(
        self, x: Float[Tensor, "b c h w"], relu6: bool = False
    ) -> Float[Tensor, "b d h2 w2"]:
        """The convolution, and ReLU6, if wanted, while the result is still at hand."""
        after = ("hardtanh", [0.0, 6.0], "") if relu6 else ("none", [], "")
        x = F.pad(x, self.extra) if self.extra else x
        return _ONEDNN._convolution_pointwise(x, self.packed, self.bias, *self.shape, *after)


def _plain(layer: nn.Linear) -> tuple[Float[Tensor, "in out"] | None, int]:
    """The weight for plain products, where they pay, and up to how many numbers they do."""
    weight = layer.weight.detach()
    if weight.numel() * weight.element_size() > _SMALL:
        return None, 0
    return weight.T.contiguous(), _FEW_ROWS * layer.in_features


def _product_plus(
    y: Float[Tensor, "#n out"], x: Float[Tensor, "*rows in"], weight: Float[Tensor, "in out"]
) -> Float[Tensor, "*rows out"]:
    """y + x weight in one operation."""
    rows, outputs = x.reshape(-1, weight.shape[0]), weight.shape[1]
    return torch.addmm(y, rows, weight).view(*x.shape[:-1], outputs)
