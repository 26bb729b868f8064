# SPDX-License-Identifier: Apache-2.0
"""Many small linear systems at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float


def solve_positive_definite(
    system: Float[Tensor, "*batch k k"], right: Float[Tensor, "*batch k m"]
) -> Float[Tensor, "*batch k m"]:
    """x of system x = right, for symmetric positive definite systems.

    On CPUs LAPACK does it, fastest for few systems. ONNX has no such operator, and on GPUs the
    library may wait for the device, which no CUDA graph can hold: there by plain operations.
    """
    if system.device.type == "cpu" and not torch.compiler.is_exporting():
        # It cannot be singular; a check that it is not would be the caller's time for nothing.
        return torch.linalg.solve_ex(system, right).result
    return eliminate(system, right)


def eliminate(
    system: Float[Tensor, "*batch k k"], right: Float[Tensor, "*batch k m"]
) -> Float[Tensor, "*batch k m"]:
    """Gauss's elimination, unrolled; positive definite systems need no other pivots."""
    unknowns = system.shape[-1]
    left, eliminated = torch.cat([system, right], -1), []
    for _ in range(unknowns):
        pivot = left[..., :1, 1:] / left[..., :1, :1]
        left = left[..., 1:, 1:] - left[..., 1:, :1] * pivot
        eliminated.append(pivot)
    solved = eliminated.pop()
    for row in reversed(eliminated):
        known = solved.shape[-2]
        solved = torch.cat([row[..., known:] - row[..., :known] @ solved, solved], -2)
    return solved
