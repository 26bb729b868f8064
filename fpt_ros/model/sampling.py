# SPDX-License-Identifier: Apache-2.0
"""Joint samples: each sampled flow is a poke for the next query (section 3 of the paper)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from fpt_ros.model.shapes import check_pokes, check_queries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jaxtyping import Bool, Float
    from torch import Tensor

    from fpt_ros.model.embedded_image import EmbeddedImage
    from fpt_ros.model.mixture import MotionMixture
    from fpt_ros.model.poke_cache import PokeCache


class AutoregressiveSampling:
    """The compositions of `FlowPokeTransformer`'s stages that draw."""

    predict_parallel: Callable[..., MotionMixture]
    poke_and_query: Callable[..., tuple[PokeCache, MotionMixture]]

    @torch.no_grad()
    def sample_autoregressive(
        self,
        poke_pos: Float[Tensor, "b p 2"],
        poke_flow: Float[Tensor, "b p 2"],
        query_pos: Float[Tensor, "b q 2"],
        camera_static: bool | Bool[Tensor, "b"],
        embedded: EmbeddedImage,
        generator: torch.Generator | None = None,
        randomize_order: bool = True,
    ) -> Float[Tensor, "b q 2"]:
        """One joint sample of all queries' flows: each sampled flow is a poke for the next.

        Rows are independent, each in a random order of its own, as the model was trained.
        """
        rows, count = query_pos.shape[:2]
        order = torch.arange(count, device=query_pos.device).expand(rows, -1)
        if randomize_order:
            device = query_pos.device if generator is None else generator.device
            drawn = torch.rand(rows, count, generator=generator, device=device)
            order = drawn.argsort(1).to(query_pos.device)
        order = order[..., None].expand_as(query_pos)
        steps = self.sample_in_turn(
            poke_pos,
            poke_flow,
            query_pos.gather(1, order),
            camera_static,
            embedded,
            lambda mixture: mixture.sample(1, generator)[0],
        )
        return torch.empty_like(query_pos).scatter_(1, order, torch.stack(list(steps), 1))

    @torch.no_grad()
    def sample_coarse_to_fine(
        self,
        poke_pos: Float[Tensor, "b p 2"],
        poke_flow: Float[Tensor, "b p 2"],
        coarse_pos: Float[Tensor, "b c 2"],
        query_pos: Float[Tensor, "b q 2"],
        camera_static: bool | Bool[Tensor, "b"],
        embedded: EmbeddedImage,
        generator: torch.Generator | None = None,
    ) -> tuple[Float[Tensor, "b c 2"], MotionMixture]:
        """A joint sample of few points, and what it lets expect of many, mixtures [b, q].

        The second mode of the paper's demo: its dense picture is the mixtures' mean.
        """
        flows = self.sample_autoregressive(
            poke_pos, poke_flow, coarse_pos, camera_static, embedded, generator
        )
        pokes = torch.cat([poke_pos, coarse_pos], 1), torch.cat([poke_flow, flows], 1)
        return flows, self.predict_parallel(*pokes, query_pos, camera_static, embedded)

    def sample_in_turn(
        self,
        poke_pos: Float[Tensor, "b p 2"],
        poke_flow: Float[Tensor, "b p 2"],
        query_pos: Float[Tensor, "b q 2"],
        camera_static: bool | Bool[Tensor, "b"],
        embedded: EmbeddedImage,
        draw: Callable[[MotionMixture], Float[Tensor, "b 2"]],
    ) -> Iterator[Float[Tensor, "b 2"]]:
        """Flows of the queries in their order; a step adds one poke and asks one query.

        `draw` chooses each flow from its distribution, a mixture [b].
        """
        check_pokes(poke_pos, poke_flow, camera_static, len(embedded.features))
        check_queries(query_pos, len(poke_pos))
        pokes, capacity = None, poke_pos.shape[1] + query_pos.shape[1]
        for query in query_pos.split(1, 1):
            pokes, mixture = self.poke_and_query(
                poke_pos, poke_flow, query, camera_static, embedded, pokes, capacity
            )
            flow = draw(mixture[:, 0]).to(query)
            yield flow
            poke_pos, poke_flow = query, flow[:, None]
