# SPDX-License-Identifier: Apache-2.0
"""The three stages as graphs: one for all sizes, without breaks, and outside of Python."""

import onnxruntime
import pytest
import torch
from torch._dynamo.testing import CompileCounter

from fpt_ros.inference.buckets import Padded, compiled, pad, unpad
from fpt_ros.model import FlowPokeTransformer, ModelConfig, SmallModelConfig, build_model
from fpt_ros.model.export import export_stages, save_onnx
from fpt_ros.model.small.linear_system import eliminate

PUBLISHED = ModelConfig(encoder="dinov2_vits14_reg", image_size=28, width=64, depth=1)
SMALL = SmallModelConfig(image_size=32, width=64, depth=1, pooling=1, modes=1)
SIZES = ((1, 1, 1), (1, 0, 5), (3, 4, 4), (5, 5, 5), (2, 3, 2), (64, 1, 16), (7, 2, 1), (1, 9, 300))
"""Rows (candidates or samples), pokes, queries."""


@pytest.fixture(scope="module", params=[PUBLISHED, SMALL], ids=["published", "small"])
def model(request) -> FlowPokeTransformer:
    """Every tensor matters: as built, some layers give zeros."""
    torch.manual_seed(0)
    model = build_model(request.param)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "trunk" not in name:
                parameter += 0.05 * torch.randn_like(parameter)
    return model.eval()


@pytest.fixture(scope="module")
def picture(model):
    size = model.config.image_size
    return torch.rand(1, 3, size, size) * 2 - 1


def request(rows: int, pokes: int, queries: int) -> tuple[torch.Tensor, ...]:
    """Positions and flows of pokes, query points, cameras."""
    sizes = ((rows, pokes), (rows, pokes), (rows, queries))
    static = torch.arange(rows) % 2 == 0
    poke_pos, poke_flow, query_pos = (torch.rand(*size, 2) for size in sizes)
    return poke_pos, poke_flow, query_pos, static


def largest_difference(ours, wanted) -> float:
    return max((a - b).abs().max().item() for a, b in zip(ours, wanted, strict=True))


def fields(mixture) -> tuple[torch.Tensor, ...]:
    return mixture.logits, mixture.locs, mixture.scale_tril


def three_stages(model: FlowPokeTransformer, padded: Padded, picture: torch.Tensor):
    image = model.embed_image(picture)
    pokes = model.embed_pokes(padded.poke_pos, padded.poke_flow, padded.camera_static, image)
    return model.query(padded.query_pos, pokes.upto(padded.lengths), image)


def in_one_pass(model: FlowPokeTransformer, padded: Padded, picture: torch.Tensor):
    return padded.ask(model, model.embed_image(picture))


@pytest.mark.parametrize("way", [three_stages, in_one_pass])
@torch.no_grad()
def test_no_graph_break_and_one_compilation_for_all_sizes(model, picture, way):
    torch._dynamo.reset()
    counter = CompileCounter()
    ask = compiled(way, backend=counter)
    for rows, pokes, queries in SIZES:
        asked = request(rows, pokes, queries)
        ours = unpad(ask(model, pad(*asked), picture), rows, queries)
        wanted = model.predict_parallel(*asked, model.embed_image(picture))
        assert largest_difference(fields(ours), fields(wanted)) < 1e-5
    assert counter.frame_count == 1


@pytest.mark.parametrize("model", [PUBLISHED], indirect=True)  # test/export: a small one
@torch.no_grad()
def test_exported_stages_give_the_same_in_pytorch_and_in_onnx_runtime(model, picture, tmp_path):
    programs = export_stages(model, ["image", "pokes", "query"])
    files = {path.stem: path for path in save_onnx(programs, tmp_path)}
    sessions = {name: onnxruntime.InferenceSession(path) for name, path in files.items()}

    def in_runtime(name, *inputs):
        names = [entry.name for entry in sessions[name].get_inputs()]
        given = dict(zip(names, (tensor.numpy() for tensor in inputs), strict=True))
        return [torch.from_numpy(array) for array in sessions[name].run(None, given)]

    modules = {name: program.module() for name, program in programs.items()}

    def in_pytorch(name, *inputs):
        return modules[name](*inputs)

    wanted_image = model.embed_image(picture)
    for run in (in_pytorch, in_runtime):
        image = run("image", picture)
        assert largest_difference(image[:1], [wanted_image.features]) < 1e-5
        for rows, pokes, queries in SIZES:
            poke_pos, poke_flow, query_pos, static = request(rows, pokes, queries)
            lengths = torch.arange(rows)[:, None] % (pokes + 1)
            cache = run("pokes", poke_pos, poke_flow, static, *image)
            ours = run("query", query_pos, poke_pos, poke_flow, lengths, *cache, *image)
            seen = model.embed_pokes(poke_pos, poke_flow, static, wanted_image).upto(lengths)
            wanted = model.query(query_pos, seen, wanted_image)
            assert largest_difference(ours, fields(wanted)) < 1e-5


def test_elimination_solves_what_lapack_solves():
    half = torch.randn(3, 10, 14, generator=torch.Generator().manual_seed(0))
    system, right = half @ half.mT + 0.1 * torch.eye(10), torch.ones(3, 10, 1)
    wanted = torch.linalg.solve(system.double(), right.double())
    torch.testing.assert_close(eliminate(system, right).double(), wanted, rtol=1e-4, atol=1e-5)
