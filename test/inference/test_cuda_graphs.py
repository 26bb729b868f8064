# SPDX-License-Identifier: Apache-2.0
"""Requests in fixed places are answered as plain ones; what a GPU would have to do is counted."""

import dataclasses
import random

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from fpt_ros.inference import recording
from fpt_ros.inference.buckets import bucket
from fpt_ros.inference.cuda_graphs import CudaGraphs
from fpt_ros.inference.predictor import Predictor
from fpt_ros.model import FlowPokeTransformer, ModelConfig, SmallModelConfig, build_model

PUBLISHED = ModelConfig(encoder="dinov2_vits14_reg", image_size=56, width=128, depth=2)
SMALL = SmallModelConfig(image_size=64, width=128, depth=2, flow_scale=1.0)
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
WAITING = {"item", "_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "equal"}


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


@pytest.fixture(params=DEVICES)
def on_device(request, model):
    yield model.to(request.param)
    model.to("cpu")


def pictures(model, count: int = 1):
    size = model.config.image_size
    return model.embed_image(torch.rand(count, 3, size, size, device=model.device) * 2 - 1)


def request(model, rows: int, pokes: int, queries: int) -> list[torch.Tensor]:
    sizes = ((rows, pokes), (rows, pokes), (rows, queries))
    static = torch.arange(rows, device=model.device) % 2 == 0
    return [*(torch.rand(*size, 2, device=model.device) for size in sizes), static]


def assert_equal(ours, wanted, atol: float = 1e-6) -> None:
    assert ours.shape == wanted.shape
    for name in ("logits", "locs", "scale_tril"):
        torch.testing.assert_close(getattr(ours, name), getattr(wanted, name), atol=atol, rtol=1e-6)


def test_buckets_hold_what_they_are_for_and_at_most_twice_that():
    assert [bucket(n) for n in (0, 1, 2, 3, 4, 5, 64, 65)] == [2, 2, 2, 4, 4, 8, 64, 128]


@torch.no_grad()
def test_any_sizes_are_answered_as_the_plain_model_does(on_device):
    sizes = random.Random(0)
    graphs, images = CudaGraphs(on_device), [pictures(on_device) for _ in range(2)]
    for turn in range(12):
        asked = request(on_device, sizes.randint(1, 9), sizes.randint(0, 9), sizes.randint(1, 40))
        image = images[turn % 2]
        wanted = on_device.predict_parallel(*asked, image)
        assert_equal(graphs.predict_parallel(*asked, image), wanted)


@torch.no_grad()
def test_rows_of_different_lengths_on_different_images_go_into_one_batch(on_device):
    graphs, images = CudaGraphs(on_device), pictures(on_device, 2)
    poke_pos, poke_flow, query_pos, static = request(on_device, 6, 3, 5)
    lengths = torch.tensor([[0], [1], [2], [3], [3], [1]], device=on_device.device)
    ours = graphs.predict_parallel(poke_pos, poke_flow, query_pos, static, images, lengths)
    pokes = on_device.embed_pokes(poke_pos, poke_flow, static, images)
    assert_equal(ours, on_device.query(query_pos, pokes.upto(lengths), images))


@torch.no_grad()
@pytest.mark.parametrize(("rows", "pokes", "points"), [(1, 1, 7), (3, 0, 5), (4, 2, 1)])
def test_points_sampled_in_turn_are_those_of_the_plain_model(on_device, rows, pokes, points):
    graphs, image = CudaGraphs(on_device), pictures(on_device)
    for _ in range(2):  # again, where what was there before must not show
        asked = request(on_device, rows, pokes, points)
        wanted = list(on_device.sample_in_turn(*asked, image, lambda m: m.mean))
        ours = list(graphs.sample_in_turn(*asked, image, lambda m: m.mean))
        torch.testing.assert_close(torch.stack(ours), torch.stack(wanted), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_answers_stay_when_the_next_request_comes(on_device):
    graphs, image = CudaGraphs(on_device), pictures(on_device)
    first, second = (request(on_device, 2, 1, 3) for _ in range(2))
    ours = graphs.predict_parallel(*first, image)
    graphs.predict_parallel(*second, image)
    assert_equal(ours, on_device.predict_parallel(*first, image))


@torch.no_grad()
def test_recordings_are_bounded(model, monkeypatch):
    monkeypatch.setattr(recording, "MOST_RECORDINGS", 2)
    graphs, image = CudaGraphs(model), pictures(model)
    for queries in (1, 3, 5, 9):
        graphs.predict_parallel(*request(model, 1, 1, queries), image)
        assert len(graphs.recorder) <= 2


class CountKernels(TorchDispatchMode):
    """Counts the operations that compute or copy something. Fails where one waits."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func.overloadpacket.__name__ not in WAITING, f"{func} waits for the device"
        result = func(*args, **(kwargs or {}))
        self.kernels += not (func.is_view or "empty" in str(func))
        return result


def kernels(work) -> int:
    work()  # what is done the first time alone
    with CountKernels() as count:
        work()
    return count.kernels


def kernels_of_a_request(model: FlowPokeTransformer) -> tuple[int, int]:
    """Of a planning query of 64 candidates and 16 points, and of a sampled point."""
    graphs, image = CudaGraphs(model), pictures(model)
    planning, sampling = request(model, 64, 1, 16), request(model, 1, 1, 9)
    planned = kernels(lambda: graphs.predict_parallel(*planning, image))
    sampled = kernels(lambda: list(graphs.sample_in_turn(*sampling, image, lambda m: m.mean)))
    return planned, sampled // 9


@torch.no_grad()
@pytest.mark.parametrize(
    ("config", "most_beside"), [(PUBLISHED, 110), (SMALL, 170)], ids=["published", "small"]
)
def test_requests_take_few_kernels_and_none_waits(config, most_beside):
    one, two = (
        kernels_of_a_request(build_model(dataclasses.replace(config, depth=depth)).eval())
        for depth in (1, 2)
    )
    for shallow, deep in zip(one, two, strict=True):
        a_layer = deep - shallow
        assert a_layer <= 85
        assert shallow - a_layer <= most_beside


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@torch.no_grad()
def test_cuda_itself_sees_no_wait_once_a_request_is_recorded(model):
    model.to("cuda")
    graphs, image, asked = CudaGraphs(model), pictures(model), request(model, 3, 1, 4)
    graphs.predict_parallel(*asked, image)
    torch.cuda.set_sync_debug_mode("error")
    try:
        graphs.predict_parallel(*asked, image)
    finally:
        torch.cuda.set_sync_debug_mode("default")
        model.to("cpu")


@pytest.mark.parametrize("device", DEVICES)
def test_a_predictor_answers_the_same_with_and_without_them(model, device):
    predictor = Predictor(model.to(device))
    plain = predictor._asked
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    context = predictor.embed(image)
    pokes, points = np.array([[30, 20, 4, 1], [40, 30, 0, 2.0]]), np.array([[35, 25], [60, 40.0]])
    predicted, evaluated, sampled = [], [], []
    for asked in (plain, CudaGraphs(predictor.model)):
        predictor._asked = asked
        predicted.append(predictor.predict(context, pokes, points))
        sets = [pokes[:1], pokes, pokes[1:]]
        evaluated.append(predictor.evaluate(context, sets, points, np.ones((2, 2)), 5.0))
        sampled.append(predictor.sample(context, pokes, points, samples=3, seed=0))
    assert_equal(predicted[1], predicted[0], atol=1e-4)  # pixels
    np.testing.assert_allclose(evaluated[1].probability, evaluated[0].probability, atol=1e-5)
    np.testing.assert_allclose(sampled[1], sampled[0], atol=1e-3)
    model.to("cpu")


@pytest.mark.parametrize("device", DEVICES)
def test_requests_of_any_kind_may_follow_each_other_on_several_images(model, device):
    predictor = Predictor(model.to(device))
    plain, graphs = predictor._asked, CudaGraphs(predictor.model)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 50, 70, 3), np.uint8)
    contexts = predictor.embed_batch(list(pictures))
    pokes, points = np.array([[30, 20, 4, 1.0]]), np.array([[35, 25], [60, 40.0]])
    for kind in ("sample", "segment", "predict", "sample", "evaluate", "predict"):
        for context in contexts:
            answers = []
            for asked in (plain, graphs):
                predictor._asked = asked
                match kind:
                    case "sample":
                        answer = predictor.sample(context, pokes, points, samples=3, seed=0)
                    case "segment":
                        answer = predictor.segment(context, pokes).divergence
                    case "evaluate":
                        found = predictor.evaluate(context, [pokes], points, np.ones((2, 2)), 5.0)
                        answer = found.probability
                    case _:
                        answer = predictor.predict(context, pokes, points).locs.numpy()
                answers.append(answer)
            np.testing.assert_allclose(*answers, atol=1e-3)
    model.to("cpu")
