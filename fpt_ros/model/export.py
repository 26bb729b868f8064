# SPDX-License-Identifier: Apache-2.0
"""The model outside of Python: its three stages as graphs of tensors, for ONNX and others.

Each stage takes and gives tensors alone, under the names below. Numbers of rows, pokes and queries
are free in every call; there is one image, of the model's own size, and all rows share it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from fpt_ros.model.attention import KeysValues
from fpt_ros.model.flow_poke import EmbeddedImage, FlowPokeTransformer
from fpt_ros.model.poke_cache import PokeCache
from fpt_ros.model.small.network import SmallEmbeddedImage

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from torch.export import ExportedProgram

OPSET = 20
"""Of the ONNX files: the first with all that the stages need (antialiased resizing, sampling of a
map, GELU), so that runtimes as old as it allows can read them."""
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
        self.model = model

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


def embedded_image(
    features: Tensor, keys: Tensor, values: Tensor, gains: Tensor, modes: Tensor | None = None
) -> EmbeddedImage:
    """From the tensors of the stage `image`."""
    layers = _layers(keys, values)
    if modes is None:
        return EmbeddedImage(features, layers, gains)
    return SmallEmbeddedImage(features, layers, gains, modes)


@torch.no_grad()
def export_stages(model: FlowPokeTransformer) -> dict[str, ExportedProgram]:
    """The stages `image`, `pokes` and `query` as `torch.export` has them, for the model's device.

    Args:
        model: in evaluation mode and not packed (as `load_checkpoint` gives it).
    """
    size, device = model.config.image_size, model.device
    stages = {"image": ImageStage(model), "pokes": PokeStage(model), "query": QueryStage(model)}
    picture = torch.zeros(1, 3, size, size, device=device)
    image = stages["image"](picture)
    # Sizes that all differ, and are neither 0 nor 1: such may be taken for constants.
    # And no tensor twice: two inputs that are one here would be one in the graph.
    poke_pos, poke_flow, query_pos = (torch.zeros(3, n, 2, device=device) for n in (4, 4, 5))
    static = torch.ones(3, dtype=torch.bool, device=device)
    pokes = stages["pokes"](poke_pos, poke_flow, static, *image)
    lengths = torch.full((3, 1), 4, device=device)
    examples: dict[str, tuple[Tensor, ...]] = {
        "image": (picture,),
        "pokes": (poke_pos, poke_flow, static, *image),
        "query": (query_pos, poke_pos, poke_flow, lengths, *pokes, *image),
    }
    return {
        name: torch.export.export(
            stage, examples[name], dynamic_shapes=_free_sizes(name, len(image)), strict=True
        )
        for name, stage in stages.items()
    }


def save_onnx(stages: dict[str, ExportedProgram], folder: Path) -> list[Path]:
    """Write exported stages as `image.onnx`, `pokes.onnx` and `query.onnx`; needs the extra `onnx`.

    Args:
        folder: made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    modes = ("modes",) if len(stages["image"].graph_signature.user_outputs) > len(IMAGE) else ()
    written = []
    for name, program in stages.items():
        inputs, outputs = _names(name, (*IMAGE, *modes))
        onnx = torch.onnx.export(
            program,
            input_names=inputs,
            output_names=outputs,
            opset_version=OPSET,
            dynamic_shapes=_free_sizes(name, len(IMAGE) + len(modes)),
            verbose=False,
        )
        assert onnx is not None  # it is None with the old exporter alone
        written.append(folder / f"{name}.onnx")
        onnx.save(written[-1])
    return written


def _names(stage: str, image: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of a stage's inputs and outputs, in their order."""
    if stage == "image":
        return ("images",), image
    if stage == "pokes":
        return ("poke_pos", "poke_flow", "camera_static", *image), POKES
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
    cache = {1: rows, 3: pokes}
    return {0: rows, 1: queries}, poked, poked, {0: rows}, cache, cache, {2: rows}, image


def _stacked(layers: tuple[KeysValues, ...]) -> tuple[Tensor, Tensor]:
    return torch.stack([kv.keys for kv in layers]), torch.stack([kv.values for kv in layers])


def _layers(keys: Tensor, values: Tensor) -> tuple[KeysValues, ...]:
    return tuple(KeysValues(*pair) for pair in zip(keys.unbind(), values.unbind(), strict=True))
