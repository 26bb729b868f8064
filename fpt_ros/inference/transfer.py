# SPDX-License-Identifier: Apache-2.0
"""To the model's device and back, in one copy each way: each would make the host wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float64
    from torch import Tensor


def to_device(
    tensors: Sequence[Float64[Tensor, "..."]], device: torch.device
) -> list[Float64[Tensor, "..."]]:
    """Tensors of the CPU on the device, with their gradients; the host does not wait."""
    if device.type == "cpu":
        return list(tensors)
    joined = upload(torch.cat([tensor.flatten() for tensor in tensors]), device)
    parts = joined.split([tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on the device; from pinned memory, or CUDA would make the host wait."""
    if device.type == "cuda" and not tensor.requires_grad:
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def to_cpu(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Tensors of one device on the CPU, with their gradients; the host waits once.

    What was computed in inference mode is copied, or a caller could not use it beside tensors that
    require gradients.
    """
    if any(tensor.requires_grad or tensor.device.type != "cuda" for tensor in tensors):
        return [t.clone() if t.is_inference() else t.to("cpu") for t in tensors]
    copies = [torch.empty(t.shape, dtype=t.dtype, pin_memory=True) for t in tensors]
    for copy, tensor in zip(copies, tensors, strict=True):
        copy.copy_(tensor, non_blocking=True)
    for device in {tensor.device for tensor in tensors}:
        torch.cuda.current_stream(device).synchronize()
    return copies
