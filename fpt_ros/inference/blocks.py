"""Requests of any size in blocks of bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fpt_ros.model import MotionMixture
from fpt_ros.model.mixture import join_mixtures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

ROWS_AT_ONCE = 64
"""Sets of pokes that run through the model together."""
POINTS_AT_ONCE = 1024
"""Query points of a set that do."""
TOKENS_AT_ONCE = POINTS_AT_ONCE + 128
"""Pokes and query points of all sets together: activations grow with them."""
PAIRS_AT_ONCE = 2**17
"""Pairs of a query point and what it attends to among the pokes, or itself: scores of attention
and the guess of the small model grow with them."""


def blocks(rows: int, pokes: int, points: int) -> Iterator[tuple[slice, slice]]:
    """All pairs of a row (a set of so many pokes) and a point, in blocks of some of each.

    Without points there are blocks, too, that are empty.
    """
    seen = pokes + 1  # what a query point attends to
    columns = max(1, min(points, POINTS_AT_ONCE, PAIRS_AT_ONCE // seen))
    by_tokens, by_pairs = TOKENS_AT_ONCE // (pokes + columns), PAIRS_AT_ONCE // (columns * seen)
    together = max(1, min(by_tokens, by_pairs, ROWS_AT_ONCE))
    for first in range(0, rows, together):
        for start in range(0, max(points, 1), columns):
            yield slice(first, first + together), slice(start, start + columns)


def in_blocks(
    ask: Callable[[slice, slice], MotionMixture], rows: int, pokes: int, points: int
) -> MotionMixture:
    """The mixtures [rows, points] that `ask` gives for some rows and some points."""
    by_rows: dict[int, list[MotionMixture]] = {}
    for some, part in blocks(rows, pokes, points):
        by_rows.setdefault(some.start, []).append(ask(some, part))
    return join_mixtures([join_mixtures(parts, 1) for parts in by_rows.values()], 0)


def fields_of(mixture: MotionMixture) -> tuple[Tensor, Tensor, Tensor]:
    """The tensors of which a mixture consists."""
    return mixture.logits, mixture.locs, mixture.scale_tril
