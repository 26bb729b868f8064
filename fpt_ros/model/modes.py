"""How the points of one body move together, and what pokes let one expect of the others.

A drawer or a door can move in one way, a loose thing in a few. So the flows of a body's points are
taken for sums of K fields over the picture, its modes, times normal factors that all its points
share, plus a little noise. Pokes tell of the factors, and so of every other point of their body:
what is expected there is the ridge regression of the pokes' flows on the modes at the pokes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from einops import rearrange
from torch import Tensor, nn

from fpt_ros.model.packing import Linear

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

HIDDEN = 192


class MotionModes(nn.Module):
    """The modes at each cell of an encoder's map, and the guess that they give.

    Args:
        channels: of the encoder's map.
        pair_channels: of them the first are the pair embedding, close to each other on one body.
        count: K.
    """

    def __init__(self, channels: int, pair_channels: int, count: int) -> None:
        super().__init__()
        self.pair_channels, self.count = pair_channels, count
        self.fields = nn.Sequential(Linear(channels, HIDDEN), nn.GELU(), Linear(HIDDEN, 2 * count))
        self.log_noise = nn.Parameter(torch.tensor(-1.5))
        """Of the noise's standard deviation, in units of the factors'."""
        self.same_bias = nn.Parameter(torch.tensor(2.0))
        self.same_slope = nn.Parameter(torch.tensor(3.0))

    def forward(self, features: Float[Tensor, "b d gh gw"]) -> Float[Tensor, "b c gh gw"]:
        """What `guess` must know of each cell: the pair embedding, then the modes; float32."""
        fields = self.fields(features.movedim(1, -1)).movedim(-1, 1)
        return torch.cat([features[:, : self.pair_channels].float(), fields.float()], 1)

    def guess(
        self,
        query_pos: Float[Tensor, "b q 2"],
        at_query: Float[Tensor, "b q c"],
        poke_pos: Float[Tensor, "b p 2"],
        at_poke: Float[Tensor, "b p c"],
        poke_flow: Float[Tensor, "b p 2"],
        visible: Bool[Tensor, "q p"] | None = None,
    ) -> Float[Tensor, "b q 2"]:
        """The flow to expect of each query, in the pokes' unit; 0 without a poke on its body.

        Args:
            at_query: what `forward` gives, at the queries.
            at_poke: the same at the pokes.
            visible: which pokes each query sees; None: all of them.
        """
        counts = self._same_body(query_pos, at_query, poke_pos, at_poke)
        if visible is not None:
            counts = counts * visible
        modes, poke_modes = (self.fields_in(values) for values in (at_query, at_poke))
        gram = rearrange(poke_modes.mT @ poke_modes, "b p k j -> b p (k j)")
        moment = (poke_modes.mT @ poke_flow.float()[..., None])[..., 0]
        noise = (2 * self.log_noise.float()).exp() * torch.eye(self.count, device=modes.device)
        system = noise + rearrange(counts @ gram, "b q (k j) -> b q k j", k=self.count)
        # It cannot be singular; a check that it is not would make the CPU wait for a GPU.
        factors = torch.linalg.solve_ex(system, (counts @ moment)[..., None]).result
        return (modes @ factors)[..., 0]

    def fields_in(self, values: Float[Tensor, "b n c"]) -> Float[Tensor, "b n 2 k"]:
        """The modes in values of `forward`'s map at some points; x before y."""
        return values[..., self.pair_channels :].unflatten(-1, (2, self.count))

    def _same_body(
        self, query_pos: Tensor, at_query: Tensor, poke_pos: Tensor, at_poke: Tensor
    ) -> Float[Tensor, "b q p"]:
        """How much each poke counts for a query: the odds of one body are learned, as in the pair
        loss, from their embeddings and their distance."""
        embedding, poke_embedding = (p[..., : self.pair_channels] for p in (at_query, at_poke))
        apart = (embedding[:, :, None] - poke_embedding[:, None]).square().sum(-1)
        distance = (query_pos[:, :, None] - poke_pos[:, None]).float().square().sum(-1)
        slope = self.same_slope.float() * (distance + 1e-8).sqrt()
        return torch.sigmoid(self.same_bias.float() - apart - slope)
