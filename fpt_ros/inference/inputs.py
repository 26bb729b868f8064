# SPDX-License-Identifier: Apache-2.0
"""What callers give: pokes and points in pixels, arrays or tensors, checked and told apart."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fpt_ros.inference.view import View, check_points, check_pokes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxtyping import Float64, Int64
    from numpy.typing import ArrayLike

MOST_POKES = 1024
"""Different pokes in one set: each of them is a token that later ones attend to."""
SAME_POKE = 2
"""Decimals of a pixel in which equal pokes agree."""


def checked_pokes(pokes: ArrayLike | Tensor, view: View) -> Float64[Tensor, "p 4"]:
    """Pokes (x, y, dx, dy) on the CPU, each once, in the order in which they first come.

    A poke states a fact: this place moves so. Stated eight times it is the same fact, yet eight
    tokens of the same kind would weigh as eight places of a body that agree. So pokes that are
    equal in all four numbers, to a hundredth of a pixel, count once. Pokes at one place that
    differ in their displacement contradict each other: all are kept, and the mixtures show it.

    Raises:
        ValueError: a poke that is not finite or not on the image, or too many of them; the
            message names it and what is allowed.
    """
    rows = as_rows(pokes, 4)
    values = rows.detach().numpy()
    check_pokes(values, view.width, view.height)
    if len(values) < 2:
        return rows
    first = first_of_equal(values)
    if len(first) > MOST_POKES:
        raise ValueError(f"pokes are {len(first)} different ones: must be at most {MOST_POKES}")
    return rows if len(first) == len(rows) else rows[torch.from_numpy(first)]


def checked_points(points: ArrayLike | Tensor, view: View) -> Float64[Tensor, "n 2"]:
    """Points on the CPU.

    Raises:
        ValueError: one that is not finite or not on the image; the message names it.
    """
    rows = as_rows(points, 2)
    check_points(rows.detach().numpy(), view.width, view.height)
    return rows


def first_of_equal(pokes: Float64[np.ndarray, "p 4"]) -> Int64[np.ndarray, "q"]:
    """Where each different poke comes first, ascending."""
    rounded = np.round(pokes, SAME_POKE) + 0.0  # no negative zeros
    return np.sort(np.unique(rounded, axis=0, return_index=True)[1])


def pokes_to_unit(pokes: Float64[Tensor, "p 4"], view: View) -> Float64[Tensor, "p 4"]:
    """Positions and displacements in the model's units."""
    return torch.cat([view.to_unit(pokes[:, :2]), view.flow_to_unit(pokes[:, 2:])], 1)


def candidates_to_unit(
    candidates: Sequence[ArrayLike | Tensor], view: View
) -> list[Float64[Tensor, "_ 4"]]:
    """Different pokes of each candidate, in the model's units.

    Raises:
        ValueError: as `checked_pokes`; the message names the candidate.
    """
    each = []
    for i, pokes in enumerate(candidates):
        with named(f"candidates[{i}]."):
            each.append(checked_pokes(pokes, view))
    together = torch.cat(each) if each else torch.zeros(0, 4, dtype=torch.float64)
    return list(pokes_to_unit(together, view).split([len(pokes) for pokes in each]))


def as_rows(values: Any, columns: int) -> Float64[Tensor, "n c"]:
    """Arrays of any kind as a tensor; tensors keep their gradients."""
    if isinstance(values, Tensor):
        rows = values.to("cpu", torch.float64)
    else:
        rows = torch.from_numpy(np.array(values, np.float64))
    return rows.reshape(0, columns) if rows.numel() == 0 else rows


@contextlib.contextmanager
def named(what: str) -> Iterator[None]:
    """Errors say in which of several inputs they are."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{what}{error}") from error
