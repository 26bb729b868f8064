# SPDX-License-Identifier: Apache-2.0
"""What a runtime must know of the exported stages: `model.json`, which lies beside them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING, Any

import onnx

from fpt_ros.inference.model_info import ModelInfo
from fpt_ros.model.export import OPSET

if TYPE_CHECKING:
    from pathlib import Path

    from fpt_ros.model import FlowPokeTransformer

FORMAT = 1
FILE = "model.json"

STAGES = {
    "image": "embeds a picture, once for any number of pokes and queries on it",
    "pokes": "embeds pokes, once for any number of queries",
    "query": "the distribution of each query point's motion, given embedded pokes",
    "predict": "pokes and query in one pass, the faster for few queries",
}
PREPROCESSING = [
    "Cut the picture's central square: its side is the shorter one of width and height, its corner "
    "((width - side) / 2, (height - side) / 2), rounded, halves to the even number. (Or give all "
    "of it grey margins of value 127.5, or squeeze it: see docs/export.md.)",
    "Resize it to `view_size` bilinearly with antialiasing: each new pixel is a mean of the old "
    "ones, with triangular weights that reach one new pixel (or one old one, if that is larger) "
    "to both sides of its centre; in floating point, not rounded.",
    "Divide the 8-bit values by 127.5 and subtract 1: to [-1, 1]. Colours are RGB, one plane each. "
    "Nothing else: further normalisation is inside the graph.",
]
UNITS = {
    "position": "(x, y) in the square: (0, 0) its outer top-left corner, (1, 1) its outer "
    "bottom-right one. The centre of the picture's pixel (column, row) is at "
    "((column + 0.5 - left) / side, (row + 0.5 - top) / side).",
    "flow": "displacement over the horizon in sides of the square: pixels divided by the side.",
    "horizon": "seconds from the picture to the end of the motion; 0: not fixed.",
}
MEANINGS = {
    "images": "the square picture, see `preprocessing`",
    "features": "encoder's map; an image's tensors go from stage to stage as they are",
    "keys": "of the image, what the transformer's layers look up",
    "values": "of the image, what the transformer's layers look up",
    "gains": "of the norms, for a moving and for a static camera",
    "modes": "how the bodies of the picture may move, for each cell of the map",
    "poke_pos": "positions of the pokes; at least one, see `lengths`",
    "poke_flow": "displacements of the poked points",
    "query_pos": "positions of the points that are asked about",
    "lengths": "how many of its pokes each row has, from 0; the others are padding, any finite "
    "numbers. No poke: one padding poke, length 0",
    "camera_static": "whether the camera stays, or may move",
    "poke_keys": "embedded pokes; they go to the stage `query` as they are",
    "poke_values": "embedded pokes; they go to the stage `query` as they are",
    "poke_gains": "embedded pokes; they go to the stage `query` as they are",
    "logits": "logarithms of the components' probabilities, normalised",
    "locs": "means of the components, flow",
    "scale_tril": "Cholesky factors L of the components' covariances L L^T, lower triangular",
}


def describe(model: FlowPokeTransformer, files: list[Path]) -> dict[str, Any]:
    """What `model.json` says of a model and of its stages' ONNX files."""
    info = ModelInfo.of(model)
    return {
        "format": FORMAT,
        "checkpoint": info.checkpoint,
        "sha256": info.sha256,
        "license": info.license,
        "parameters": info.parameters,
        "horizon": info.horizon,
        "components": info.components,
        "view_size": info.view_size,
        "opset": OPSET,
        "preprocessing": PREPROCESSING,
        "units": UNITS,
        "rows": "Independent requests on one image: candidates, or samples.",
        "stages": {file.stem: _stage(file) for file in files},
        "config": dataclasses.asdict(model.config),
    }


def write_description(model: FlowPokeTransformer, files: list[Path], folder: Path) -> Path:
    """Write `describe` as JSON."""
    path = folder / FILE
    path.write_text(json.dumps(describe(model, files), indent=1) + "\n")
    return path


def _stage(file: Path) -> dict[str, Any]:
    graph = onnx.load(file, load_external_data=False).graph
    return {
        "does": STAGES[file.stem],
        "file": file.name,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "inputs": [_tensor(value) for value in graph.input],
        "outputs": [_tensor(value) for value in graph.output],
    }


def _tensor(value: onnx.ValueInfoProto) -> dict[str, Any]:
    kind = value.type.tensor_type
    return {
        "name": value.name,
        "type": str(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)),
        "shape": [side.dim_param or side.dim_value for side in kind.shape.dim],
        "meaning": MEANINGS[value.name],
    }
