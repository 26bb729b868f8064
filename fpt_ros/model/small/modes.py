# SPDX-License-Identifier: Apache-2.0
"""How the points of one body move together, and what pokes let one expect of the others.

To the first order, a rigid thing's picture moves affinely; a drawer or a door in one way of its
own, which the picture tells. So the flows of a body's points are taken for sums of fields, its
modes, times normal factors that all its points share, plus a little noise. Six of the fields are
affine. Which ones is predicted for each point, as the covariance of the six numbers of an affine
motion about it: on a door they all go together, on a ball each goes its own way. K more fields are
predicted altogether. Pokes tell of the factors, and so of every other point of their body: what is
expected there is the ridge regression of the pokes' flows on the modes at the pokes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpt_ros.model.small.linear_system import solve_positive_definite

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

AFFINE = 6
"""Numbers of an affine motion: along x, along y, growing, turning, and the two shears."""
SPREAD = AFFINE * (AFFINE + 1) // 2
"""Entries of the Cholesky factor of their covariance: its diagonal, then row by row below it."""
_THERE = ((1, 0, 0, 0, 0, 0), (0, 1, 0, 0, 0, 0))
"""The affine fields at the point that they are about: along x, along y."""
_GROWTH = (((0, 0, 1, 0, 1, 0), (0, 0, 0, 1, 0, 1)), ((0, 0, 0, -1, 0, 1), (0, 0, 1, 0, -1, 0)))
"""And by how much they grow with x, then with y."""


class MotionModes(nn.Module):
    """The modes at each cell of an encoder's map, and the guess that they give.

    Args:
        channels: of the encoder's map.
        pair_channels: of them the first are the pair embedding, close to each other on one body.
        count: K, the fields that are not affine.
        hidden: channels of the network that gives them.
        reach: image sides from the point that they are about at which the affine fields that grow
            are 1.
    """

    there: Tensor
    growth: Tensor
    identity: Tensor
    entries: Tensor

    def __init__(
        self, channels: int, pair_channels: int, count: int, hidden: int, reach: float
    ) -> None:
        super().__init__()
        self.pair_channels, self.count = pair_channels, count
        self.fields = nn.Sequential(
            nn.Linear(channels, hidden), nn.GELU(), nn.Linear(hidden, 2 * count + SPREAD)
        )
        self.log_noise = nn.Parameter(torch.tensor(-1.5))
        """Of the noise's standard deviation, in units of the factors'."""
        self.same_bias = nn.Parameter(torch.tensor(2.0))
        self.same_slope = nn.Parameter(torch.tensor(3.0))
        self.register_buffer("there", torch.tensor(_THERE, dtype=torch.float32), False)
        growth = torch.tensor(_GROWTH, dtype=torch.float32).flatten(1) / reach
        self.register_buffer("growth", growth, False)
        self.register_buffer("identity", torch.eye(AFFINE + count), False)
        row, column = torch.tril_indices(AFFINE, AFFINE, -1)
        diagonal = torch.arange(AFFINE) * (AFFINE + 1)
        self.register_buffer("entries", torch.cat([diagonal, row * AFFINE + column]), False)

    def forward(self, features: Float[Tensor, "b d gh gw"]) -> Float[Tensor, "b c gh gw"]:
        """What `guess` must know of each cell: the pair embedding, the Cholesky factor of the
        affine motion's covariance, then the other fields; float32."""
        raw = self.fields(features.movedim(1, -1)).movedim(-1, 1).float()
        diagonal = F.softplus(raw[:, :AFFINE])
        return torch.cat([features[:, : self.pair_channels].float(), diagonal, raw[:, AFFINE:]], 1)

    def guess(
        self,
        query_pos: Float[Tensor, "b q 2"],
        at_query: Float[Tensor, "b q c"],
        poke_pos: Float[Tensor, "b p 2"],
        at_poke: Float[Tensor, "b p c"],
        poke_flow: Float[Tensor, "b p 2"],
        visible: Bool[Tensor, "q p"] | None = None,
    ) -> Float[Tensor, "b q 3"]:
        """The flow to expect of each query, in the pokes' unit, and how many pokes are on its body;
        all 0 where none is.

        Args:
            at_query: what `forward` gives, at the queries.
            at_poke: the same at the pokes.
            visible: which pokes each query sees; None: all of them.
        """
        offset = (poke_pos[:, None] - query_pos[:, :, None]).float()
        counts = self._same_body(offset, at_query, at_poke)
        if visible is not None:
            counts = counts * visible
        expected = self.given_pokes(offset, at_query, at_poke, poke_flow, counts)
        return torch.cat([expected, counts.sum(-1, keepdim=True)], -1)

    def given_pokes(
        self,
        offset: Float[Tensor, "b q p 2"],
        at_query: Float[Tensor, "b q c"],
        at_poke: Float[Tensor, "b p c"],
        poke_flow: Float[Tensor, "b p 2"],
        counts: Float[Tensor, "b q p"],
    ) -> Float[Tensor, "b q 2"]:
        """The flow to expect of each query, in the pokes' unit.

        Args:
            offset: from the queries to the pokes, image sides.
            counts: how much each poke counts for each query, from 0 to 1.
        """
        # At the query itself the affine modes are its motion along x and y: two rows of the factor.
        factor = self._affine_factor(at_query)
        query_modes = torch.cat([factor[..., :2, :], self._other_fields(at_query)], -1)
        poke_modes = self._fields_at(offset, factor[:, :, None], at_poke[:, None])
        rows = poke_modes.flatten(2, 3)
        weighted = (poke_modes * counts[..., None, None]).flatten(2, 3).mT
        flow = poke_flow.float().flatten(1)[:, None, :, None]
        system = weighted @ rows + (2 * self.log_noise.float()).exp() * self.identity.float()
        factors = solve_positive_definite(system, weighted @ flow)
        return (query_modes @ factors)[..., 0]

    def fields_at(
        self,
        offset: Float[Tensor, "*centres n 2"],
        at_centre: Float[Tensor, "*centres 1 c"],
        at_points: Float[Tensor, "*#centres n c"],
    ) -> Float[Tensor, "*centres n 2 k6"]:
        """All fields at some points of a body, as one of its points, the centre, has them: the
        affine ones first; x before y.

        Args:
            offset: of the points from the centre, image sides.
            at_centre: what `forward` gives, at the centre.
            at_points: the same at the points.
        """
        return self._fields_at(offset, self._affine_factor(at_centre), at_points)

    def _fields_at(
        self,
        offset: Float[Tensor, "*centres n 2"],
        factor: Float[Tensor, "*centres 1 six six"],
        at_points: Float[Tensor, "*#centres n c"],
    ) -> Float[Tensor, "*centres n 2 k6"]:
        affine = self.there.float() + (offset @ self.growth.float()).unflatten(-1, (2, AFFINE))
        affine = affine @ factor
        return torch.cat([affine, self._other_fields(at_points).expand(*affine.shape[:-1], -1)], -1)

    def _affine_factor(self, at_centre: Float[Tensor, "*n c"]) -> Float[Tensor, "*n six six"]:
        """Of the covariance of the affine motion about each point."""
        entries = at_centre[..., self.pair_channels : self.pair_channels + SPREAD]
        factor = entries.new_zeros(*entries.shape[:-1], AFFINE * AFFINE)
        return factor.index_copy(-1, self.entries, entries).unflatten(-1, (AFFINE, AFFINE))

    def _other_fields(self, at_points: Float[Tensor, "*n c"]) -> Float[Tensor, "*n 2 k"]:
        return at_points[..., self.pair_channels + SPREAD :].unflatten(-1, (2, self.count))

    def _same_body(
        self, offset: Float[Tensor, "b q p 2"], at_query: Tensor, at_poke: Tensor
    ) -> Float[Tensor, "b q p"]:
        """How much each poke counts for a query: the odds of one body are learned, as in the pair
        loss, from their embeddings and their distance."""
        embedding, poke_embedding = (p[..., : self.pair_channels] for p in (at_query, at_poke))
        apart = (embedding[:, :, None] - poke_embedding[:, None]).square().sum(-1)
        slope = self.same_slope.float() * (offset.square().sum(-1) + 1e-8).sqrt()
        return torch.sigmoid(self.same_bias.float() - apart - slope)
