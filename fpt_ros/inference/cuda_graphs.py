# SPDX-License-Identifier: Apache-2.0
"""Predictions as CUDA graphs: a GPU runs them without waiting for Python to launch each operation.

A graph has fixed sizes and fixed places of its inputs and outputs. So there is one for each bucket
of sizes (see `fpt_ros.inference.buckets`): a request is padded and copied to the graph's inputs,
and an image that is not the one asked about before is copied into the slot that all graphs read.
On other devices the same work is done without a graph.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fpt_ros.inference.buckets import Padded, bucket, compiled, pad, unpad
from fpt_ros.inference.recording import WARM_UP, ImageSlot, Recorder
from fpt_ros.inference.sampling_turns import Turn
from fpt_ros.model import EmbeddedImage, FlowPokeTransformer, MotionMixture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jaxtyping import Bool, Float, Int

    from fpt_ros.model import ModelConfig


class CudaGraphs:
    """A model's predictions, each recorded when it is first asked for. For one thread at a time.

    Answers equal those of the model's methods of the same names but for rounding.

    Args:
        compile: run them through `torch.compile` before they are recorded, which joins small
            operations; the first request then takes minutes.
    """

    def __init__(self, model: FlowPokeTransformer, compile: bool = False) -> None:
        self.model = model
        self.recorder = Recorder(model.device)
        self._ask = compiled(_ask) if compile else _ask
        self._slots: dict[int, ImageSlot] = {}

    @property
    def device(self) -> torch.device:
        """The model's."""
        return self.model.device

    @property
    def config(self) -> ModelConfig:
        """The model's."""
        return self.model.config

    def predict_parallel(
        self,
        poke_pos: Float[Tensor, "b p 2"],
        poke_flow: Float[Tensor, "b p 2"],
        query_pos: Float[Tensor, "b q 2"],
        camera_static: bool | Bool[Tensor, "b"],
        embedded: EmbeddedImage,
        lengths: Int[Tensor, "b 1"] | None = None,
    ) -> MotionMixture:
        """Mixtures [b, q], in one pass however many there are.

        No graph can hold gradients: where they are recorded, the plain model answers.

        Args:
            lengths: how many of its pokes each row has; None: all.
        """
        if torch.is_grad_enabled():
            pokes = poke_pos, poke_flow, query_pos, camera_static, embedded
            return self.model.poke_and_query(*pokes, lengths=lengths)[1]
        images = len(embedded.features)
        asked = pad(poke_pos, poke_flow, query_pos, camera_static, lengths, images)
        image = self._in_slot(embedded)

        def begin() -> tuple[Callable[[], MotionMixture], Padded]:
            places = Padded(*(tensor.clone() for tensor in asked.tensors()))
            return lambda: self._ask(self.model, places, image), places

        key = "ask", images, *asked.query_pos.shape[:2], asked.poke_pos.shape[1]
        recording = self.recorder.get(key, begin)
        torch._foreach_copy_(recording.inputs.tensors(), asked.tensors())
        return _kept(unpad(recording.replay(), len(query_pos), query_pos.shape[1], images))

    @torch.no_grad()
    def sample_in_turn(
        self,
        poke_pos: Float[Tensor, "b p 2"],
        poke_flow: Float[Tensor, "b p 2"],
        query_pos: Float[Tensor, "b q 2"],
        camera_static: bool | Bool[Tensor, "b"],
        embedded: EmbeddedImage,
        draw: Callable[[MotionMixture], Float[Tensor, "b 2"]],
    ) -> Iterator[Float[Tensor, "b 2"]]:
        """Flows of the queries in their order, as the model's; all turns but the first are a graph.

        Rows are of one image. Nothing else may be asked before the last flow.

        Raises:
            ValueError: several images.
        """
        if len(embedded.features) != 1:
            raise ValueError(f"{len(embedded.features)} embedded images: must be 1 for all rows")
        image, queries = self._in_slot(embedded), query_pos.split(1, 1)
        pokes, first = self.model.poke_and_query(
            poke_pos, poke_flow, queries[0], camera_static, image
        )
        flow = draw(first[:, 0]).to(query_pos)
        yield flow
        # Every run adds a poke, those before the recording too.
        rows, capacity = bucket(len(query_pos)), bucket(len(pokes) + len(queries) + WARM_UP)

        def begin() -> tuple[Callable[[], MotionMixture], Turn]:
            turn = Turn.after(pokes, rows, capacity)
            return lambda: turn.take(self.model, image), turn

        recording = self.recorder.get(("turn", rows, capacity), begin)
        recording.inputs.begin(pokes)
        for before, query in itertools.pairwise(queries):
            recording.inputs.put(before, flow[:, None], query)
            flow = draw(recording.replay()[: len(query), 0]).to(query_pos)
            yield flow

    def _in_slot(self, embedded: EmbeddedImage) -> EmbeddedImage:
        images = len(embedded.features)
        if images not in self._slots:
            self._slots[images] = ImageSlot(embedded)
        return self._slots[images].put(embedded)


def _ask(model: FlowPokeTransformer, padded: Padded, image: EmbeddedImage) -> MotionMixture:
    return padded.ask(model, image)


def _kept(mixture: MotionMixture) -> MotionMixture:
    """In memory of its own: the next replay overwrites a graph's."""
    parts = (getattr(mixture, field.name).clone() for field in dataclasses.fields(mixture))
    return MotionMixture(*parts)
