# SPDX-License-Identifier: Apache-2.0
"""Shapes that would broadcast to a wrong answer are refused instead, by the argument's name."""

from __future__ import annotations

from torch import Tensor


def check_pokes(
    positions: Tensor, flows: Tensor, camera_static: bool | Tensor, images: int
) -> None:
    """Positions [b, p, 2], flows of that shape, a camera for all rows or each, whole images.

    Raises:
        ValueError: one of them has another shape.
    """
    if positions.ndim != 3 or positions.shape[-1] != 2:
        raise ValueError(f"the pokes' positions have shape {_of(positions)}: must be [b, p, 2]")
    if flows.shape != positions.shape:
        raise ValueError(
            f"the pokes' flows have shape {_of(flows)}: must be {_of(positions)}, as positions"
        )
    rows = len(positions)
    if isinstance(camera_static, Tensor) and camera_static.shape != (rows,):
        raise ValueError(f"camera_static has shape {_of(camera_static)}: must be ({rows},)")
    if rows % images:
        raise ValueError(f"{rows} rows do not divide among {images} embedded images")


def check_queries(positions: Tensor, rows: int) -> None:
    """Positions [b, q, 2] of at least one query, b as the pokes have it.

    Raises:
        ValueError: another shape.
    """
    if positions.ndim != 3 or positions.shape[-1] != 2 or positions.shape[1] < 1:
        raise ValueError(f"query_pos has shape {_of(positions)}: must be [b, q >= 1, 2]")
    if len(positions) != rows:
        raise ValueError(f"query_pos has {len(positions)} rows: must have {rows}, as the pokes")


def check_training(poke_pos: Tensor, query_pos: Tensor, query_flow: Tensor | None = None) -> None:
    """Queries [b, l, n, 2], n for each of the l pokes of each row, and flows of that shape.

    Raises:
        ValueError: another shape.
    """
    wanted = *poke_pos.shape[:2], "n", 2
    fits = query_pos.ndim == 4 and query_pos.shape[:2] == poke_pos.shape[:2]
    if not fits or query_pos.shape[-1] != 2:
        shape = ", ".join(map(str, wanted))
        raise ValueError(f"query_pos has shape {_of(query_pos)}: must be [{shape}]")
    if query_flow is not None and query_flow.shape != query_pos.shape:
        raise ValueError(
            f"query_flow has shape {_of(query_flow)}: must be {_of(query_pos)}, as query_pos"
        )


def _of(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)
