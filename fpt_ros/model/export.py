# SPDX-License-Identifier: Apache-2.0
"""The model outside of Python: its stages as graphs of tensors, for ONNX and others.

Each stage takes and gives tensors alone, under the names below. Numbers of rows, pokes and queries
are free in every call; there is one image, of the model's own size, and all rows share it.

`pokes` and `query` are the library's own stages: a cache of the pokes serves any number of queries.
`predict` is both in one pass, which reads the weights once: the faster for few queries.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from fpt_ros.model.attention import KeysValues
from fpt_ros.model.dinov2 import DinoV2Encoder
from fpt_ros.model.flow_poke import EmbeddedImage, FlowPokeTransformer
from fpt_ros.model.poke_cache import PokeCache
from fpt_ros.model.small.network import SmallEmbeddedImage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxtyping import Bool, Float, Int
    from torch.export import ExportedProgram

OPSET = 20
"""Of the ONNX files: the first with all that the stages need (sampling of a map, GELU), so that
runtimes as old as it allows can read them."""
IMAGE = ("features", "keys", "values", "gains")
"""An embedded image, the output of the stage `image`; a small model's `modes` come after them.
Keys and values are [layer, 1, head, cell, channel], the pokes' [layer, row, head, poke, channel].
"""
POKES = ("poke_keys", "poke_values", "poke_gains")
MIXTURE = ("logits", "locs", "scale_tril")
"""Float64, [row, query, component, ...], as `MotionMixture` has them."""


class ImageStage(nn.Module):
    """`embed_image` on a square picture of the model's size."""

    def __init__(self, model: FlowPokeTransformer) -> None:
        super().__init__()
        weights = {id(weight): weight for weight in model.parameters()}
        self.model = copy.deepcopy(model, weights)  # which shares them
        encoder = self.model.image_embedder.model
        if isinstance(encoder, DinoV2Encoder):
            encoder.fix_positions(model.config.image_size)

    def forward(self, images: Float[Tensor, "1 3 s s"]) -> tuple[Tensor, ...]:
        image = self.model.embed_image(images)
        parts = (image.features, *_stacked(image.keys_values), image.gains)
        return (*parts, image.modes) if isinstance(image, SmallEmbeddedImage) else parts


class PokeStage(nn.Module):
    """`embed_pokes`."""

    def __init__(self, model: FlowPokeTransformer) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        poke_pos: Float[Tensor, "b p 2"],
        poke_flow: Float[Tensor, "b p 2"],
        camera_static: Bool[Tensor, "b"],
        *image: Tensor,
    ) -> tuple[Tensor, ...]:
        pokes = self.model.embed_pokes(poke_pos, poke_flow, camera_static, embedded_image(*image))
        return *_stacked(pokes.layers), pokes.gains


class QueryStage(nn.Module):
    """`query`; each row reads the first `lengths` of its pokes, the others are padding."""

    def __init__(self, model: FlowPokeTransformer) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        query_pos: Float[Tensor, "b q 2"],
        poke_pos: Float[Tensor, "b p 2"],
        poke_flow: Float[Tensor, "b p 2"],
        lengths: Int[Tensor, "b 1"],
        poke_keys: Float[Tensor, "d b h p c"],
        poke_values: Float[Tensor, "d b h p c"],
        poke_gains: Float[Tensor, "d 3 b 1 w"],
        *image: Tensor,
    ) -> tuple[Tensor, ...]:
        layers = _layers(poke_keys, poke_values)
        pokes = PokeCache(poke_pos, poke_flow, poke_gains, layers, lengths)
        mixture = self.model.query(query_pos, pokes, embedded_image(*image))
        return mixture.logits, mixture.locs, mixture.scale_tril


class PredictStage(nn.Module):
    """`poke_and_query`, without the cache; rows are padded as the stage `query` has it."""

    def __init__(self, model: FlowPokeTransformer) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        poke_pos: Float[Tensor, "b p 2"],
        poke_flow: Float[Tensor, "b p 2"],
        query_pos: Float[Tensor, "b q 2"],
        lengths: Int[Tensor, "b 1"],
        camera_static: Bool[Tensor, "b"],
        *image: Tensor,
    ) -> tuple[Tensor, ...]:
        _, mixture = self.model.poke_and_query(
            poke_pos, poke_flow, query_pos, camera_static, embedded_image(*image), lengths=lengths
        )
        return mixture.logits, mixture.locs, mixture.scale_tril


STAGES: dict[str, Callable[[FlowPokeTransformer], nn.Module]] = {
    "image": ImageStage,
    "pokes": PokeStage,
    "query": QueryStage,
    "predict": PredictStage,
}
"""Names and modules; the order is that of use."""


def embedded_image(
    features: Tensor, keys: Tensor, values: Tensor, gains: Tensor, modes: Tensor | None = None
) -> EmbeddedImage:
    """From the tensors of the stage `image`."""
    layers = _layers(keys, values)
    if modes is None:
        return EmbeddedImage(features, layers, gains)
    return SmallEmbeddedImage(features, layers, gains, modes)


@torch.no_grad()
def export_stages(
    model: FlowPokeTransformer, names: Sequence[str] = tuple(STAGES)
) -> dict[str, ExportedProgram]:
    """Stages as `torch.export` has them, for the model's device.

    Args:
        model: in evaluation mode and not packed (as `load_checkpoint` gives it).
        names: which of `STAGES`.
    """
    size, device = model.config.image_size, model.device
    picture = torch.zeros(1, 3, size, size, device=device)
    image = ImageStage(model)(picture)
    # Sizes that all differ, and are neither 0 nor 1: such may be taken for constants.
    # And no tensor twice: two inputs that are one here would be one in the graph.
    poke_pos, poke_flow, query_pos = (torch.zeros(3, n, 2, device=device) for n in (4, 4, 5))
    static = torch.ones(3, dtype=torch.bool, device=device)
    pokes = PokeStage(model)(poke_pos, poke_flow, static, *image)
    lengths = torch.full((3, 1), 4, device=device)
    examples: dict[str, tuple[Tensor, ...]] = {
        "image": (picture,),
        "pokes": (poke_pos, poke_flow, static, *image),
        "query": (query_pos, poke_pos, poke_flow, lengths, *pokes, *image),
        "predict": (poke_pos, poke_flow, query_pos, lengths, static, *image),
    }
    return {
        name: torch.export.export(
            STAGES[name](model),
            examples[name],
            dynamic_shapes=_free_sizes(name, len(image)),
            strict=True,
        )
        for name in names
    }


def save_onnx(stages: dict[str, ExportedProgram], folder: Path) -> list[Path]:
    """Write exported stages as `image.onnx` and so on; needs the extra `onnx`.

    Args:
        folder: made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, program in stages.items():
        image = _image_tensors(name, program)
        inputs, outputs = _names(name, image)
        onnx = torch.onnx.export(
            program,
            input_names=inputs,
            output_names=outputs,
            opset_version=OPSET,
            dynamic_shapes=_free_sizes(name, len(image)),
            verbose=False,
        )
        assert onnx is not None  # it is None with the old exporter alone
        if outputs == MIXTURE:
            for output in onnx.model.graph.outputs:
                assert output.shape is not None
                output.shape[1] = "queries"  # else it is a formula
        written.append(folder / f"{name}.onnx")
        onnx.save(written[-1])
    return written


def _image_tensors(stage: str, program: ExportedProgram) -> tuple[str, ...]:
    """The names of an embedded image's tensors, with or without a small model's modes."""
    signature = program.graph_signature
    found = len(signature.user_inputs), len(signature.user_outputs)
    plain = _names(stage, IMAGE)
    return IMAGE if found == (len(plain[0]), len(plain[1])) else (*IMAGE, "modes")


def _names(stage: str, image: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of a stage's inputs and outputs, in their order."""
    if stage == "image":
        return ("images",), image
    if stage == "pokes":
        return ("poke_pos", "poke_flow", "camera_static", *image), POKES
    if stage == "predict":
        return ("poke_pos", "poke_flow", "query_pos", "lengths", "camera_static", *image), MIXTURE
    return ("query_pos", "poke_pos", "poke_flow", "lengths", *POKES, *image), MIXTURE


def _free_sizes(stage: str, image_tensors: int) -> tuple[object, ...] | None:
    """Which sizes of each input are free, in the form that `torch.export` wants."""
    rows, pokes, queries = (torch.export.Dim(name) for name in ("rows", "pokes", "queries"))
    poked = {0: rows, 1: pokes}
    image: tuple[dict[int, object], ...] = ({},) * image_tensors
    if stage == "image":
        return None
    if stage == "pokes":
        return poked, poked, {0: rows}, image
    if stage == "predict":
        return poked, poked, {0: rows, 1: queries}, {0: rows}, {0: rows}, image
    cache = {1: rows, 3: pokes}
    return {0: rows, 1: queries}, poked, poked, {0: rows}, cache, cache, {2: rows}, image


def _stacked(layers: tuple[KeysValues, ...]) -> tuple[Tensor, Tensor]:
    return torch.stack([kv.keys for kv in layers]), torch.stack([kv.values for kv in layers])


def _layers(keys: Tensor, values: Tensor) -> tuple[KeysValues, ...]:
    return tuple(KeysValues(*pair) for pair in zip(keys.unbind(), values.unbind(), strict=True))
