# SPDX-License-Identifier: Apache-2.0
"""The mode loss: how well do a few pokes tell, through the modes, how the rest of a body moves?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from einops import rearrange, repeat

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

    from fpt_ros.model.small.modes import MotionModes

STILL = 0.005
"""Image sides: bodies that move less, or whose first poke does, teach nothing."""
POKES = (1, 2, 4)
"""Numbers of pokes that are asked with, each as often as the others."""
QUERIES = 24
"""Other points of a body that are asked about, at most."""


def mode_loss(
    modes: MotionModes,
    values: Float[Tensor, "b n c"],
    pos: Float[Tensor, "b n 2"],
    flow: Float[Tensor, "b m n 2"],
    bodies: Int[Tensor, "b n"],
) -> Float[Tensor, ""]:
    """How far the flows of a body's points are off what `MotionModes.given_pokes` expects of them,
    given those of a few others and knowing the body; in the root mean square of its flows, so that
    a body that turns teaches as much as one that slides. Mean over the points of a body, then over
    the bodies that move in a motion, then over the motions.

    Args:
        values: what `modes` gives at some points of each picture, which are in any order.
        pos: the points.
        flow: of these points in each of the picture's motions; all 0 where it is not to count.
        bodies: the points' rigid bodies; the world (0) and unknown ones (-1) do not count.
    """
    numbers = bodies.unique()
    on_body = bodies[:, None] == numbers[numbers > 0, None]
    picture, place = (on_body.sum(-1) > POKES[-1]).nonzero(as_tuple=True)
    at_most = min(POKES[-1] + QUERIES, pos.shape[1])
    chosen = on_body[picture, place].to(values.dtype).topk(at_most)
    real, index = chosen.values[:, POKES[-1] :], chosen.indices[..., None]
    at, here = (
        part[picture].gather(1, index.expand(-1, -1, part.shape[-1])) for part in (values, pos)
    )
    moved = flow[picture].gather(2, index[:, None].expand(-1, flow.shape[1], -1, 2))
    off = torch.stack([_off(modes, at, here, moved, number) for number in POKES]).mean(0)
    squares = moved[:, :, POKES[-1] :].square().sum(-1)
    share = real / real.sum(-1, keepdim=True)
    rms = (squares * share[:, None]).sum(-1).sqrt()
    moves = ((rms > STILL) & (moved[:, :, 0].norm(dim=-1) > STILL)).to(values.dtype)
    of_body = (off * share[:, None]).sum(-1) / rms.clamp_min(STILL) * moves
    total, bodies_moving = (
        part.new_zeros(flow.shape[:2]).index_add(0, picture, part) for part in (of_body, moves)
    )
    return (total / bodies_moving.clamp_min(1)).mean()


def _off(
    modes: MotionModes,
    values: Float[Tensor, "g n c"],
    pos: Float[Tensor, "g n 2"],
    flow: Float[Tensor, "g m n 2"],
    number: int,
) -> Float[Tensor, "g m q"]:
    """How far what is expected of the points after the first `POKES[-1]` is off, given the first so
    many."""
    motions, first = flow.shape[1], POKES[-1]
    offset = pos[:, None, :number] - pos[:, first:, None]
    given = (offset, values[:, first:], values[:, :number])
    offset, at_query, at_poke = (repeat(part, "g ... -> (g m) ...", m=motions) for part in given)
    moved = rearrange(flow, "g m n xy -> (g m) n xy")
    counts = torch.ones_like(offset[..., 0])
    expected = modes.given_pokes(offset, at_query, at_poke, moved[:, :number], counts)
    # The root of nothing has no slope.
    off = ((moved[:, first:] - expected).square().sum(-1) + 1e-10).sqrt()
    return rearrange(off, "(g m) q -> g m q", m=motions)
