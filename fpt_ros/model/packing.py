"""Layers that run two to three times as fast on CPUs once their weights are packed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float

# oneDNN's operators, which torch itself uses in compiled graphs. PyTorch's plain `linear` goes to
# MKL, which is slow on CPUs of other makers, and slow for few rows on all; its plain convolution
# rearranges the weight in every call.
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


class Packable(nn.Module):
    """A layer that can keep a second copy of its weight in oneDNN's own layout.

    The copy serves inference alone: it is passed over where gradients are recorded, and where the
    weight has changed or moved since.
    """

    weight: Tensor
    _packed: Tensor | None = None
    _packed_from: tuple[int, int] | None = None

    def pack(self) -> None:
        """Make that copy, if the weight lies on a CPU in a type that oneDNN packs."""
        weight = self.weight.detach()
        packable = weight.dtype in (torch.float32, torch.bfloat16) and weight.device.type == "cpu"
        if PACKING_IS_AVAILABLE and packable and not self.weight.is_inference():
            self._packed = self._reordered(weight)
            self._packed_from = self._weight_state()

    def unpack(self) -> None:
        """Let go of that copy."""
        self._packed = self._packed_from = None

    def __getstate__(self) -> dict:
        """Copies and pickles go without the packed weight, whose layout is the process's own."""
        return {k: v for k, v in self.__dict__.items() if k not in ("_packed", "_packed_from")}

    def _reordered(self, weight: Tensor) -> Tensor:
        raise NotImplementedError

    def _can_use_packed(self, x: Tensor) -> bool:
        if self._packed_from is None or torch.is_grad_enabled():
            return False
        if torch.compiler.is_compiling():  # the compiler packs by itself
            return False
        return x.dtype == self.weight.dtype and self._packed_from == self._weight_state()

    def _weight_state(self) -> tuple[int, int]:
        """Which tensor the weight is, and how often it has been written to."""
        return self.weight.data_ptr(), self.weight._version


class Linear(Packable, nn.Linear):
    """`nn.Linear` that can be packed."""

    def forward(self, x: Float[Tensor, "*rows in"]) -> Float[Tensor, "*rows out"]:
        if self._can_use_packed(x):
            return _ONEDNN._linear_pointwise(x, self._packed, self.bias, "none", [], "")
        return super().forward(x)

    def plus(self, y: Float[Tensor, "*rows out"], x: Float[Tensor, "*rows in"]) -> Tensor:
        """y + forward(x), the sum taken while the product is still at hand."""
        if self._can_use_packed(x) and y.dtype == x.dtype:
            return _ONEDNN._linear_pointwise.binary(x, y, self._packed, self.bias, "add")
        return y + super().forward(x)

    def _reordered(self, weight: Tensor) -> Tensor:
        return _ONEDNN._reorder_linear_weight(weight, _TYPICAL_ROWS)


class Conv2d(Packable, nn.Conv2d):
    """`nn.Conv2d` (with zero padding) that can be packed."""

    def forward(
        self, x: Float[Tensor, "b c h w"], relu6: bool = False
    ) -> Float[Tensor, "b d h2 w2"]:
        """The convolution, and after it, if wanted, ReLU6 while the result is still at hand."""
        if self._can_use_packed(x):
            after = ("hardtanh", [0.0, 6.0], "") if relu6 else ("none", [], "")
            return _ONEDNN._convolution_pointwise(
                x, self._packed, self.bias, *self._shape(), *after
            )
        mixed = x.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        y = self._in_autocast(x) if mixed else super().forward(x)
        return F.relu6(y) if relu6 else y

    def _in_autocast(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        """On a CPU, bfloat16 pays in matrix products alone; a convolution of 1 x 1 is one."""
        if self.kernel_size == (1, 1) and self.stride == (1, 1) and self.groups == 1:
            return F.linear(x.movedim(1, -1), self.weight.flatten(1), self.bias).movedim(-1, 1)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.to(self.weight.dtype))

    def _reordered(self, weight: Tensor) -> Tensor:
        return _ONEDNN._reorder_convolution_weight(weight, *self._shape())

    def _shape(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], int]:
        return self.padding, self.stride, self.dilation, self.groups  # type: ignore[return-value]


def pack_weights(model: nn.Module) -> None:
    """Pack every layer of a model for inference on its CPU; elsewhere this does nothing."""
    for module in model.modules():
        if isinstance(module, Packable):
            module.pack()
