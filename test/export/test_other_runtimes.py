# SPDX-License-Identifier: Apache-2.0
"""The exported files in OpenVINO, and what they ask of TensorRT, which needs a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
import torch

from fpt_ros.export.checking import TOLERANCE, Stages, largest_difference
from fpt_ros.model import FlowPokeTransformer, ModelConfig, load_checkpoint
from fpt_ros.model.export import STAGES, ImageStage

TENSORRT_OPSETS = range(9, 21)
TENSORRT_OPERATORS = """
    Add Cast Clip Concat Constant ConstantOfShape Conv Cos Div Equal Exp Expand Gather GatherND
    Gelu Gemm Greater GreaterOrEqual GridSample LayerNormalization Less LogSoftmax MatMul Mul Neg
    Pad Pow Range Reciprocal ReduceMean ReduceSum Reshape Resize ScatterND Shape Sigmoid Sin Slice
    Softmax Softplus Split Sqrt Squeeze Sub Tanh Transpose Trilu Unsqueeze Where
"""
"""Of its ONNX parser, those that the stages use: docs/operators.md of onnx-tensorrt lists them for
TensorRT 10.0."""


class OpenVinoStages(Stages):
    """The same files in OpenVINO on the CPU, every size free."""

    def __init__(self, folder: Path) -> None:
        core = openvino.Core()
        exact = {"INFERENCE_PRECISION_HINT": "f32"}  # else bfloat16, where the processor has it
        self._sessions = {
            name: core.compile_model(folder / f"{name}.onnx", "CPU", exact) for name in STAGES
        }

    def run(self, name: str, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        model = self._sessions[name]
        found = model({entry.any_name: given[entry.any_name] for entry in model.inputs})
        return {entry.any_name: found[entry] for entry in model.outputs}


def test_openvino_gives_the_librarys_numbers(exported: Path):
    model = load_checkpoint(device="cpu", dtype="float32")
    assert 0 < largest_difference(model, OpenVinoStages(exported)) < TOLERANCE


@torch.no_grad()
def test_dinov2_asks_no_runtime_to_resize_its_positions(monkeypatch: pytest.MonkeyPatch):
    """OpenVINO resizes them in another way, TensorRT not at all."""
    model = FlowPokeTransformer(ModelConfig("dinov2_vits14_reg", image_size=56, width=64, depth=1))
    square = torch.rand(1, 3, 56, 56)
    wanted = model.embed_image(square).features
    stage = ImageStage(model)
    monkeypatch.setattr(torch.nn.functional, "interpolate", None)
    features, *_ = stage(square)
    torch.testing.assert_close(features, wanted, atol=1e-6, rtol=0)


def nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from nodes(attribute.g)


@pytest.mark.parametrize("stage", STAGES)
def test_tensorrt_lists_all_operators(exported: Path, stage: str):
    model = onnx.load(exported / f"{stage}.onnx")
    (opset,) = model.opset_import
    assert opset.domain == "" and opset.version in TENSORRT_OPSETS
    assert not model.functions
    for node in nodes(model.graph):
        assert node.op_type in TENSORRT_OPERATORS.split()
        settings = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
        if node.op_type == "Resize":
            assert settings.get("antialias", 0) == 0 and settings["mode"] != b"cubic"
        if node.op_type == "ScatterND":
            assert settings.get("reduction", b"none") == b"none"
        if node.op_type == "LayerNormalization":
            assert len(node.output) == 1
