"""The copy of a model that answers: for inference alone, and on CPUs with packed weights.

A copy, so that whoever trains or changes a model never changes answers of a predictor made of it
before, neither all of them nor, far worse, some. On CPUs each linear layer and convolution is
exchanged for one that keeps its weight in oneDNN's own layout, and no other: that is two to three
times as fast where PyTorch's plain products go to MKL on a CPU of another maker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpt_ros.model.small.encoder import Conv2d, SameConv2d

if TYPE_CHECKING:
    from jaxtyping import Float

    from fpt_ros.model import FlowPokeTransformer

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


class PackedLinear(nn.Module):
    """`nn.Linear` for inference, with a packed weight. Gradients reach its input alone."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        weight = layer.weight.detach()
        self.packed = _ONEDNN._reorder_linear_weight(weight, _TYPICAL_ROWS)
        self.bias = None if layer.bias is None else layer.bias.detach()
        small = weight.numel() * weight.element_size() <= _SMALL
        self.plain = weight.T.contiguous() if small else None

    def forward(self, x: Float[Tensor, "*rows in"]) -> Float[Tensor, "*rows out"]:
        if x.requires_grad:
            return F.linear(x, self.packed.to_dense(), self.bias)
        if self.plain is not None and x.numel() <= _FEW_ROWS * x.shape[-1]:
            product = x @ self.plain
            return product if self.bias is None else product + self.bias
        return _ONEDNN._linear_pointwise(x, self.packed, self.bias, "none", [], "")


class PackedConv2d(nn.Module):
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


def for_inference(model: FlowPokeTransformer, compile: bool = False) -> FlowPokeTransformer:
    """The model itself made for inference: nobody else may have it. No gradients, weights packed.

    One layer after the other, so that there is never a second copy of all weights.

    Args:
        compile: run the image encoder through `torch.compile`, once it is first used.
    """
    model.eval().requires_grad_(False)
    encoder = model.image_embedder.model
    if compile and model.device.type == "cpu":
        encoder.compile(options={"freezing": True})  # the compiler packs by itself
    elif compile:
        encoder.compile(mode="reduce-overhead")  # one CUDA graph
    if PACKING_IS_AVAILABLE:
        _pack(model, keep=encoder if compile else None)
    return model


def _pack(module: nn.Module, keep: nn.Module | None) -> None:
    for name, child in module.named_children():
        weight = getattr(child, "weight", None)
        if child is keep:
            continue
        if not isinstance(weight, Tensor):
            _pack(child, keep)
        elif weight.device.type == "cpu" and weight.dtype in (torch.float32, torch.bfloat16):
            if type(child) is nn.Linear:
                setattr(module, name, PackedLinear(child))
            elif isinstance(child, Conv2d):
                setattr(module, name, PackedConv2d(child))
