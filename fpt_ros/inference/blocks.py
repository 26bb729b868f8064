# SPDX-License-Identifier: Apache-2.0
"""Requests of any size in blocks of bounded memory."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from fpt_ros.inference.cuda_graphs import CudaGraphs
from fpt_ros.inference.threads import threads_for
from fpt_ros.model import FlowPokeTransformer, MotionMixture
from fpt_ros.model.mixture import join_mixtures

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jaxtyping import Float64, Int64
    from torch import Tensor

    from fpt_ros.inference.context import ImageContext
    from fpt_ros.model.poke_cache import PokeCache

    Block = tuple[slice, slice, MotionMixture]
    """Which rows and which points, and their mixtures."""

ROWS_AT_ONCE = 64
"""Sets of pokes that run through the model together."""
POINTS_AT_ONCE = 1024
"""Query points of a set that do."""
TOKENS_AT_ONCE = POINTS_AT_ONCE + 128
"""Pokes and query points of all sets together: activations grow with them."""
PAIRS_AT_ONCE = 2**17
"""Pairs of a query point and what it attends to among the pokes, or itself: scores of attention
and the guess of the small model grow with them."""
GPU_TIMES = 16
"""So many times as much at once fills a GPU; a CPU's cache holds less."""


def blocks(rows: int, pokes: int, points: int, times: int = 1) -> Iterator[tuple[slice, slice]]:
    """All pairs of a row (a set of so many pokes) and a point, in blocks of some of each.

    All points of some rows come one block after the other.

    Args:
        times: blocks are so many times as large as on a CPU.
    """
    seen, pairs = pokes + 1, times * PAIRS_AT_ONCE  # `seen` is what a query point attends to
    columns = max(1, min(points, times * POINTS_AT_ONCE, pairs // seen))
    by_tokens, by_pairs = times * TOKENS_AT_ONCE // (pokes + columns), pairs // (columns * seen)
    together = max(1, min(by_tokens, by_pairs, times * ROWS_AT_ONCE))
    for first in range(0, rows, together):
        for start in range(0, points, columns):
            yield slice(first, first + together), slice(start, start + columns)


def predict_blocks(
    model: FlowPokeTransformer | CudaGraphs,
    context: ImageContext,
    pokes: Float64[Tensor, "b p 4"],
    points: Float64[Tensor, "#b n 2"],
    camera_moving: bool,
    lengths: Int64[Tensor, "b 1"] | None = None,
) -> Iterator[Block]:
    """Mixtures in pixels of all points given each row's pokes, block by block.

    Inputs are in the model's units; all lies on its device. Pokes are embedded once for all points.

    Args:
        lengths: how many of its pokes each row has, the others are padding; None: all.
    """
    pos, flow = pokes.float().split(2, -1)
    query_pos = points.float().expand(len(pokes), -1, -1)
    times = GPU_TIMES if pos.is_cuda else 1
    cache: PokeCache | None = None
    for rows, part in blocks(len(pokes), pokes.shape[1], points.shape[1], times):
        queries, some = query_pos[rows, part], pos[rows]
        seen = None if lengths is None else lengths[rows]
        tokens = len(some) * (some.shape[1] + queries.shape[1])
        with _without_bookkeeping(), threads_for(model.config, tokens):
            if isinstance(model, CudaGraphs):
                mixture = model.predict_parallel(
                    some, flow[rows], queries, not camera_moving, context.embedded, seen
                )
            elif part.start == 0:
                cache, mixture = model.poke_and_query(
                    some, flow[rows], queries, not camera_moving, context.embedded, lengths=seen
                )
            else:
                assert cache is not None  # of the rows' first points
                mixture = model.query(queries, cache.upto(seen), context.embedded)
        if part.stop >= points.shape[1]:
            cache = None  # megabytes, which a request that waits for its turn would keep
        yield rows, part, mixture.scaled(context.unit)


@contextmanager
def _without_bookkeeping() -> Iterator[None]:
    """Where no gradients are recorded, operations need not note what they wrote to: of a request
    with few tokens that is a sixth of the time."""
    with torch.inference_mode(not torch.is_grad_enabled()):
        yield


def join_blocks(blocks: Iterable[Block]) -> MotionMixture:
    """The mixtures [rows, points] of all blocks, at least one."""
    by_rows: dict[int, list[MotionMixture]] = {}
    for rows, _, mixture in blocks:
        by_rows.setdefault(rows.start, []).append(mixture)
    return join_mixtures([join_mixtures(parts, 1) for parts in by_rows.values()])


def empty_mixture(rows: int, components: int) -> MotionMixture:
    """The answer to rows without points."""
    shape = (rows, 0, components)
    empty = [torch.zeros(*shape, *rest, dtype=torch.float64) for rest in ((), (2,), (2, 2))]
    return MotionMixture(*empty)
