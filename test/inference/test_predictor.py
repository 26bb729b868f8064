# SPDX-License-Identifier: Apache-2.0
"""The predictor in pixels against the model in its own units."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import POINTS, POKES, TINY, LargestTensor, random_points, random_pokes

from fpt_ros import Predictor
from fpt_ros.inference.batch import MotionRequest
from fpt_ros.inference.context import ImageContext
from fpt_ros.model import FlowPokeTransformer, ModelConfig, save_checkpoint


def in_units(model, image, pokes, points, static):
    """The plain forward pass for an image cropped to its central square, in the model's units."""
    images = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 127.5 - 1
    corner = (np.array([image.shape[1], image.shape[0]]) - 480) / 2
    poke_pos = torch.from_numpy((pokes[None, :, :2] + 0.5 - corner) / 480).float()
    poke_flow = torch.from_numpy(pokes[None, :, 2:] / 480).float()
    query_pos = torch.from_numpy((points[None] + 0.5 - corner) / 480).float()
    with torch.no_grad():
        embedded = model.embed_image(images)
        return model.predict_parallel(poke_pos, poke_flow, query_pos, static, embedded)[0]


@pytest.mark.parametrize("camera_moving", [False, True])
def test_pixels_means_and_covariances_go_there_and_back(
    model, predictor, context, image, camera_moving
):
    mixture = predictor.predict(context, POKES, POINTS, camera_moving)
    units = in_units(model, image, POKES, POINTS, not camera_moving)
    torch.testing.assert_close(mixture.mean, units.mean * 480, atol=2e-3, rtol=0)
    torch.testing.assert_close(mixture.covariances, units.covariances * 480**2, atol=0.5, rtol=1e-4)
    torch.testing.assert_close(mixture.weights, units.weights, atol=1e-5, rtol=0)


def test_stretch_scales_each_axis_by_its_own_side(model, image):
    predictor = Predictor(model, fit="stretch")
    context = predictor.embed(image)
    mixture = predictor.predict(context, POKES, POINTS)
    sides = torch.tensor([640.0, 480.0], dtype=torch.float64)
    with torch.no_grad():
        units = model.predict_parallel(
            torch.from_numpy((POKES[None, :, :2] + 0.5) / sides.numpy()).float(),
            torch.from_numpy(POKES[None, :, 2:] / sides.numpy()).float(),
            torch.from_numpy((POINTS[None] + 0.5) / sides.numpy()).float(),
            True,
            model.embed_image(context.view.square(torch.from_numpy(image), 56)),
        )[0]
    torch.testing.assert_close(mixture.mean, units.mean * sides, atol=2e-3, rtol=0)
    both = sides[:, None] * sides
    torch.testing.assert_close(mixture.covariances, units.covariances * both, atol=0.5, rtol=1e-4)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(480, 640), (50, 31), (1, 1), (7, 300)])
def test_any_image_and_any_point_on_it_is_answered(model, fit, size):
    predictor = Predictor(model, fit)
    context = predictor.embed(np.zeros((*size, 3), np.uint8))
    corners = np.array([[-0.5, -0.5], [size[1] - 0.5, size[0] - 0.5]])
    mixture = predictor.predict(context, np.zeros((0, 4)), corners)
    assert mixture.shape == (2,)
    assert mixture.mean.isfinite().all()


def test_bad_input_is_named_and_costs_nothing_else(predictor, context, image):
    before = predictor.predict(context, POKES, POINTS).locs
    with pytest.raises(ValueError, match=r"pokes\[1\].x is 700.0: must lie in \[-0.5, 639.5\]"):
        predictor.predict(context, [[1, 1, 1, 1], [700, 1, 1, 1]], POINTS)
    with pytest.raises(ValueError, match=r"y\[0\] is nan"):
        predictor.predict(context, POKES, [[1, np.nan]])
    with pytest.raises(ValueError, match=r"pokes have shape \(2, 3\)"):
        predictor.predict(context, np.zeros((2, 3)), POINTS)
    with pytest.raises(ValueError, match=r"must be uint8 \[h, w, 3\]"):
        predictor.embed(image[..., 0])
    with pytest.raises(ValueError, match="uint8"):
        predictor.embed(image.astype(np.float32))
    with pytest.raises(ValueError, match="0 x 0"):
        predictor.embed(np.zeros((0, 0, 3), np.uint8))
    with pytest.raises(ValueError, match="fit is 'zoom'"):
        Predictor(predictor.model, fit="zoom")
    assert torch.equal(predictor.predict(context, POKES, POINTS).locs, before)


def test_no_points_give_an_empty_mixture(predictor, context):
    mixture = predictor.predict(context, POKES, np.zeros((0, 2)))
    assert mixture.shape == (0,)
    assert mixture.mean.shape == (0, 2)


@pytest.mark.parametrize(("pokes", "points"), [(1, 5000), (1000, 512)])
def test_memory_of_any_request_is_bounded(guessing, image, pokes, points):
    context = guessing.embed(image)
    with LargestTensor() as largest:
        mixture = guessing.predict(context, random_pokes(pokes), random_points(points))
    assert mixture.shape == (points,)
    assert largest.numel < 8e6


def test_blocks_change_nothing(guessing, image, monkeypatch):
    context, pokes, points = guessing.embed(image), random_pokes(5), random_points(50)
    whole = guessing.predict(context, pokes, points)
    monkeypatch.setattr("fpt_ros.inference.blocks.PAIRS_AT_ONCE", 7 * 6)
    parts = guessing.predict(context, pokes, points)
    for name in ("logits", "locs", "scale_tril"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name), atol=1e-3, rtol=1e-4)


def test_too_many_pokes_are_refused(guessing, image):
    context = guessing.embed(image)
    with pytest.raises(ValueError, match="pokes are 1025 different ones: must be at most 1024"):
        guessing.predict(context, random_pokes(1025), POINTS)
    assert guessing.predict(context, np.repeat(POKES, 1025, 0), POINTS).shape == (3,)


def test_a_poke_given_eight_times_counts_once(predictor, context):
    repeated = np.concatenate([POKES, np.repeat(POKES[:1] + 0.001, 7, 0)])
    once = predictor.predict(context, POKES, POINTS)
    torch.testing.assert_close(predictor.predict(context, repeated, POINTS).locs, once.locs)
    goals = np.zeros_like(POINTS)
    each = predictor.evaluate(context, [POKES, repeated], POINTS, goals, 5.0)
    np.testing.assert_allclose(*each.expected_error, rtol=1e-5)
    first, second = (predictor.sample(context, p, POINTS, 3, seed=0) for p in (POKES, repeated))
    np.testing.assert_allclose(first, second, atol=1e-2)
    first, second = (predictor.segment(context, p, max_points=16) for p in (POKES, repeated))
    np.testing.assert_allclose(first.divergence, second.divergence, atol=1e-4)


def test_pokes_that_contradict_each_other_are_kept(predictor, context):
    other = POKES[:1] * (1, 1, -1, -1)
    both = predictor.predict(context, np.concatenate([POKES[:1], other]), POINTS)
    alone = predictor.predict(context, POKES[:1], POINTS)
    assert not torch.allclose(both.locs, alone.locs, atol=0.1)


def test_requests_in_one_batch_are_answered_as_if_alone(predictor, context, image):
    other = predictor.embed(image[::-1, ::-1])
    requests = [
        MotionRequest(context, POKES, POINTS),
        MotionRequest(other, POKES, POINTS),
        MotionRequest(context, POKES[:1], POINTS, camera_moving=True),
        MotionRequest(context, POKES + 1, POINTS),
        MotionRequest(context, [], POINTS[:2]),
        MotionRequest(context, POKES, []),
    ]
    answers = predictor.predict_batch(requests)
    for request, answer in zip(requests, answers, strict=True):
        alone = predictor.predict(
            request.context, request.pokes, request.points, request.camera_moving
        )
        torch.testing.assert_close(answer.mean, alone.mean, atol=1e-3, rtol=0)
    assert predictor.predict_batch([]) == []
    with pytest.raises(ValueError, match=r"requests\[1\].pokes\[0\].x is -9"):
        predictor.predict_batch([requests[0], MotionRequest(context, [[-9, 0, 1, 1]], POINTS)])


def test_pokes_are_embedded_once_for_all_points(predictor, context, monkeypatch):
    calls = []
    for name in ("poke_and_query", "query"):
        whole = getattr(predictor.model, name)
        monkeypatch.setattr(
            predictor.model, name, lambda *a, n=name, f=whole, **k: calls.append(n) or f(*a, **k)
        )
    predictor.predict(context, POKES, random_points(2500))
    assert calls == ["poke_and_query", "query", "query"]


def test_requests_that_are_alike_run_together(predictor, context, monkeypatch):
    rows = []
    whole = predictor.model.poke_and_query

    def counted(poke_pos, *arguments, **named):
        rows.append(len(poke_pos))
        return whole(poke_pos, *arguments, **named)

    monkeypatch.setattr(predictor.model, "poke_and_query", counted)
    alike = [MotionRequest(context, POKES + i, POINTS) for i in range(5)]
    shorter = [MotionRequest(context, random_pokes(n, n), random_points(n)) for n in (3, 4, 5, 8)]
    answers = predictor.predict_batch([*alike, *shorter])
    assert rows == [5, 2, 2]  # of 3 and 4, and of 5 and 8, padded to the longer ones
    monkeypatch.undo()
    for request, answer in zip([*alike, *shorter], answers, strict=True):
        alone = predictor.predict(context, request.pokes, request.points)
        torch.testing.assert_close(answer.mean, alone.mean, atol=1e-3, rtol=0)


def test_images_embedded_together_are_as_if_alone(predictor, image):
    images = [image, image[:300], np.zeros((50, 60, 3), np.uint8)]
    contexts = predictor.embed_batch(images)
    for context, one in zip(contexts, images, strict=True):
        alone = predictor.embed(one)
        assert (context.width, context.height) == (one.shape[1], one.shape[0])
        assert context.nbytes == alone.nbytes
        means = [predictor.predict(c, [[9, 9, 5, 5]], [[20, 20]]).mean for c in (context, alone)]
        torch.testing.assert_close(*means, atol=1e-3, rtol=0)
    with pytest.raises(ValueError, match=r"images\[1\]: the image is float64"):
        predictor.embed_batch([image, np.zeros((4, 4, 3))])


def test_a_context_knows_its_memory(predictor, context):
    cells, depth, width = 4 * 4, TINY.depth, TINY.width
    keys_values = 2 * depth * cells * width
    features = 384 * cells
    gains = depth * 3 * 2 * width
    assert predictor.embed(np.zeros((9, 9, 3), np.uint8)).nbytes == 4 * (
        keys_values + features + gains
    )


def test_contexts_take_the_memory_that_is_documented(embedded, image):
    context = embedded.embed(image)
    sizes = {"embedded": context.nbytes}
    embedded.segment(context, POKES)
    assert context.nbytes - sizes["embedded"] == pytest.approx(1e6, rel=0.15)
    with torch.device("meta"):  # shapes without numbers
        for dtype in (torch.bfloat16, torch.float32):
            images = torch.empty(1, 3, 448, 448)
            base = FlowPokeTransformer(ModelConfig()).to(dtype).embed_image(images)
            sizes[str(dtype)] = ImageContext(context.view, base, context.unit).nbytes
    assert {name: round(size / 1e6) for name, size in sizes.items()} == {
        "embedded": 6, "torch.bfloat16": 41, "torch.float32": 79,
    }  # fmt: skip
    said = Path(__file__).parents[2].joinpath("README.md").read_text()
    assert (
        "6 MB each with the embedded weights, with the base model 41 MB in bfloat16, 79 in" in said
    )


def test_gradients_reach_the_pokes(predictor, context):
    pokes = torch.tensor(POKES, requires_grad=True)

    def error(pokes):
        mixture = predictor.predict(context, pokes, POINTS)
        return mixture.expected_distance(torch.tensor([[10.0, 5.0]])).sum()

    (gradient,) = torch.autograd.grad(error(pokes), pokes)
    for index in np.ndindex(*POKES.shape):
        step = np.zeros_like(POKES)
        step[index] = 0.05
        up, down = error(POKES + step), error(POKES - step)
        assert not up.requires_grad
        assert gradient[index].item() == pytest.approx(
            ((up - down) / 0.1).item(), rel=0.05, abs=2e-3
        )


def test_gradients_are_recorded_only_where_they_are_wanted(predictor, context):
    pokes = torch.tensor(POKES, requires_grad=True)
    (together,) = predictor.predict_batch([MotionRequest(context, pokes, POINTS)])
    assert together.locs.requires_grad
    with torch.no_grad():
        assert not predictor.predict(context, pokes, POINTS).locs.requires_grad
    assert not predictor.predict(context, pokes.detach(), POINTS).locs.requires_grad
    evaluation = predictor.evaluate(
        context, [pokes], POINTS, np.zeros_like(POINTS), 5.0, return_motions=True
    )
    assert isinstance(evaluation.probability, np.ndarray)
    # What was computed without them may be used beside what has them.
    for without in (predictor.predict(context, POKES, POINTS), evaluation.motions[0]):
        (together.locs * without.locs).sum().backward(retain_graph=True)
    assert pokes.grad is not None and pokes.grad.isfinite().all()
    assert all(parameter.grad is None for parameter in predictor.model.parameters())


def test_info_states_the_model(predictor, model):
    info = predictor.info
    assert (info.horizon, info.components, info.view_size, info.license) == (0.5, 4, 56, "MIT")
    assert info.dtype == "float32"
    assert info.parameters == sum(p.numel() for p in model.parameters())


def test_a_compiled_encoder_gives_the_same(tmp_path, image):
    torch.manual_seed(0)
    path = tmp_path / "model.safetensors"
    save_checkpoint(FlowPokeTransformer(TINY), path)
    plain, compiled = (
        Predictor.from_checkpoint(path, "cpu", "float32", compile=c) for c in (False, True)
    )
    compiled.warm_up()
    features = [p.embed(image).embedded.features for p in (plain, compiled)]
    torch.testing.assert_close(*features, atol=1e-5, rtol=0)
