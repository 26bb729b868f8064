"""The predictor in pixels against the model in its own units."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import stats

from fpt_ros.inference.moving import MOVING
from fpt_ros.inference.predictor import Predictor
from fpt_ros.model import FlowPokeTransformer, ModelConfig, save_checkpoint

TINY = ModelConfig("dinov2_vits14", image_size=56, width=128, depth=2, horizon=0.5, license="MIT")
POKES = np.array([[300.0, 200.0, 20.0, -10.0], [350.0, 120.0, 5.0, 30.0]])
POINTS = np.array([[310.0, 210.0], [100.0, 100.0], [320.0, 240.0]])


@pytest.fixture(scope="module")
def model() -> FlowPokeTransformer:
    torch.manual_seed(0)
    model = FlowPokeTransformer(TINY)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.3 / parameter.shape[-1] ** 0.5)
    return model


@pytest.fixture(scope="module")
def predictor(model) -> Predictor:
    return Predictor(model)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)


@pytest.fixture(scope="module")
def context(predictor, image):
    return predictor.embed(image)


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
            context.embedded,
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


def test_evaluate_equals_single_predictions(predictor, context):
    candidates = [POKES, POKES[:1], POKES[1:], np.zeros((0, 4))]
    goals = np.array([[10.0, -5.0], [0.0, 0.0], [3.0, 3.0]])
    result = predictor.evaluate(context, candidates, POINTS, goals, tolerance=8.0)
    assert result.log_likelihood.shape == (4, 3)
    for i, pokes in enumerate(candidates):
        single = predictor.predict(context, pokes, POINTS)
        expected = single.log_prob(torch.from_numpy(goals)).numpy()
        np.testing.assert_allclose(result.log_likelihood[i], expected, atol=1e-4)
        flow = single.sample(50_000, torch.Generator().manual_seed(0)).numpy() - goals
        distance = np.linalg.norm(flow, axis=-1)
        np.testing.assert_allclose(result.probability[i], (distance <= 8).mean(0), atol=0.01)
        np.testing.assert_allclose(result.expected_error[i], distance.mean(0), rtol=0.02)
    assert result.best == int(np.argmax(result.probability.mean(1)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"candidates": []}, "0 candidates"),
        ({"points": np.zeros((0, 2)), "goals": np.zeros((0, 2))}, "0 points"),
        ({"candidates": [POKES, [[-5, 0, 1, 1]]]}, r"candidates\[1\].pokes\[0\].x is -5.0"),
        ({"goals": np.zeros((2, 2))}, r"goals have shape \(2, 2\)"),
        ({"tolerance": -1.0}, "tolerance is -1.0"),
    ],
)
def test_evaluate_names_what_is_wrong(predictor, context, change, message):
    request = {
        "candidates": [POKES], "points": POINTS, "goals": np.zeros((3, 2)), "tolerance": 1.0,
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        predictor.evaluate(context, **request | change)


def test_samples_repeat_and_a_single_point_follows_its_mixture(predictor, context):
    first = predictor.sample(context, POKES, POINTS, samples=4, seed=1)
    assert first.shape == (4, 3, 2)
    np.testing.assert_array_equal(first, predictor.sample(context, POKES, POINTS, 4, seed=1))
    assert not np.array_equal(first, predictor.sample(context, POKES, POINTS, 4, seed=2))
    flow = predictor.sample(context, POKES, POINTS[:1], samples=2000, seed=0)[:, 0]
    mixture = predictor.predict(context, POKES, POINTS[:1])
    for axis in range(2):
        exact = mixture.sample(20_000, torch.Generator().manual_seed(3))[:, 0, axis]
        assert stats.ks_2samp(flow[:, axis], exact.numpy()).pvalue > 1e-3


def test_samples_are_the_same_however_many_are_drawn_at_once(predictor, context, monkeypatch):
    together = predictor.sample(context, POKES, POINTS, samples=5, seed=3)
    monkeypatch.setattr("fpt_ros.inference.sampling.TOKENS_AT_ONCE", 2 * (len(POKES) + len(POINTS)))
    steps = predictor.sample_steps(context, POKES, POINTS, samples=5, seed=3)
    counts = []
    while True:
        try:
            counts.append(next(steps))
        except StopIteration as end:
            np.testing.assert_allclose(end.value, together, atol=1e-2)
            break
        predictor.predict(context, POKES, POINTS)  # what else runs changes nothing
    assert counts == [2] * 3 + [2] * 3 + [1] * 3


def test_segment_finds_what_a_poke_changes_at_every_pixel(predictor, context):
    part = predictor.segment(context, POKES[:1])
    assert part.divergence.shape == part.moves.shape == (480, 640)
    with pytest.raises(ValueError, match="pokes is empty"):
        predictor.segment(context, np.zeros((0, 4)))
    # A trained model and a red block on grey. With 64 cells of 7 pixels nothing is interpolated at
    # the cells' centres.
    predictor = Predictor.from_checkpoint("embedded", device="cpu")
    picture = np.full((448, 448, 3), 120, np.uint8)
    picture[128:320, 128:320] = 180, 40, 30
    context = predictor.embed(picture)
    poke, centres = [[220, 220, 40, 0]], np.array([[220, 220], [297, 199], [3, 3], [444, 24]])
    part = predictor.segment(context, poke)
    assert part.divergence.dtype == np.float32
    assert (part.divergence >= 0).all()
    poked, unpoked = (predictor.predict(context, p, centres) for p in (poke, []))
    exact = poked.kl_divergence(unpoked, 50_000, torch.Generator().manual_seed(1)).numpy()
    x, y = centres.T
    np.testing.assert_allclose(part.divergence[y, x], exact, rtol=0.2, atol=0.05)
    likely = 1 - poked.probability_within(torch.zeros(2), MOVING * 448).numpy() > 0.5
    by_the_rule = (exact > predictor.motion_threshold) & likely
    assert part.moves[y, x].tolist() == by_the_rule.tolist() == [True, True, False, False]
    assert not part.moves[part.divergence <= predictor.motion_threshold].any()


def test_info_states_the_model(predictor):
    info = predictor.info
    assert (info.horizon, info.components, info.view_size, info.license) == (0.5, 4, 56, "MIT")
    assert info.dtype == "float32"
    assert info.parameters == sum(p.numel() for p in predictor.model.parameters())


def test_the_library_knows_no_ros():
    code = (
        "import sys, fpt_ros.inference.predictor; "
        "sys.exit(any(name.split('.')[0] in ('rclpy', 'rosbags') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


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
