# SPDX-License-Identifier: Apache-2.0
"""Each operation of the mixture against an independent source: SciPy, quadrature, samples."""

import copy

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from test_synchronisation import RefuseToWait

from fpt_ros.model import log_density, normals
from fpt_ros.model.mixture import MotionMixture, mixture_from_head


def random_mixture(*shape: int, components: int = 3, seed: int = 0) -> MotionMixture:
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(*shape, components * 6, generator=generator, dtype=torch.float64)
    return mixture_from_head(raw, components, flow_scale=1.0)


def scipy_components(mixture: MotionMixture):
    """(weight, frozen normal) of a single mixture's components."""
    return [
        (weight.item(), stats.multivariate_normal(loc.numpy(), covariance.numpy()))
        for weight, loc, covariance in zip(
            mixture.weights, mixture.locs, mixture.covariances, strict=True
        )
    ]


def narrow(rho: float, s1: float = 1.0, s2: float = 1.0, mean=(0.0, 0.0)) -> MotionMixture:
    covariance = torch.tensor([[s1**2, rho * s1 * s2], [rho * s1 * s2, s2**2]]).double()
    return MotionMixture(
        torch.zeros(1, dtype=torch.float64),
        torch.tensor([mean], dtype=torch.float64),
        torch.linalg.cholesky(covariance)[None],
    )


def test_log_prob_matches_scipy():
    mixture = random_mixture(5)
    flow = torch.randn(5, 2, dtype=torch.float64)
    expected = [
        np.log(sum(w * normal.pdf(f.numpy()) for w, normal in scipy_components(m)))
        for m, f in zip((mixture[i] for i in range(5)), flow, strict=True)
    ]
    np.testing.assert_allclose(mixture.log_prob(flow).numpy(), expected, rtol=1e-10)


def test_density_integrates_to_one_and_moments_match_quadrature():
    mixture = random_mixture(components=2, seed=3)
    x = torch.linspace(-25, 25, 1001, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(x, x, indexing="ij"), -1)
    density = mixture.log_prob(grid).exp() * (x[1] - x[0]) ** 2
    assert density.sum().item() == pytest.approx(1, abs=1e-6)
    mean = (density[..., None] * grid).sum((0, 1))
    torch.testing.assert_close(mixture.mean, mean, atol=1e-6, rtol=0)
    apart = grid - mean
    covariance = torch.einsum("xy,xyi,xyj->ij", density, apart, apart)
    torch.testing.assert_close(mixture.covariance, covariance, atol=1e-5, rtol=0)


def test_samples_have_the_mixture_s_moments_and_repeat_with_a_seed():
    mixture = random_mixture(4, seed=1)
    flow = mixture.sample(200_000, torch.Generator().manual_seed(5))
    assert flow.shape == (200_000, 4, 2)
    torch.testing.assert_close(flow.mean(0), mixture.mean, atol=0.03, rtol=0)
    for i in range(4):
        torch.testing.assert_close(flow[:, i].T.cov(), mixture.covariance[i], atol=0.1, rtol=0.03)
    again = mixture.sample(200_000, torch.Generator().manual_seed(5))
    assert torch.equal(flow, again)


@pytest.mark.parametrize("rho", [-0.9999, -0.95, -0.3, 0.0, 0.5, 0.95, 0.9999])
def test_cdf_matches_scipy_at_any_correlation(rho):
    mixture = narrow(rho, 0.7, 1.8, mean=(0.2, -0.1))
    covariance = mixture.covariances[0].numpy()
    points = [(0.2, -0.1), (0.2, 0.5), (-1.0, -0.1), (0.9, 1.1), (-0.6, 0.3), (3.0, -2.0), (-9, 9)]
    for point in points:
        expected = stats.multivariate_normal(
            mixture.locs[0].numpy(), covariance, abseps=1e-10, releps=1e-10
        ).cdf(point)
        got = mixture.cdf(torch.tensor(point, dtype=torch.float64)).item()
        assert got == pytest.approx(expected, abs=2e-8), point


def test_cdf_of_a_mixture_and_at_infinity():
    mixture = random_mixture(seed=2)
    point = torch.tensor([0.3, -0.2], dtype=torch.float64)
    expected = sum(w * normal.cdf(point.numpy()) for w, normal in scipy_components(mixture))
    assert mixture.cdf(point).item() == pytest.approx(expected, abs=1e-6)
    assert mixture.cdf(torch.full((2,), torch.inf)).item() == pytest.approx(1)
    assert mixture.cdf(torch.full((2,), -torch.inf)).item() == pytest.approx(0)


def disc_by_quadrature(mixture: MotionMixture, centre, radius: float) -> float:
    components = scipy_components(mixture)

    def density(r, angle):
        point = (centre[0] + r * np.cos(angle), centre[1] + r * np.sin(angle))
        return r * sum(w * normal.pdf(point) for w, normal in components)

    return integrate.dblquad(density, 0, 2 * np.pi, 0, radius, epsabs=1e-9)[0]


@pytest.mark.parametrize("radius", [0.05, 0.7, 4.0])
def test_probability_within_matches_quadrature(radius):
    mixture = random_mixture(seed=4, components=2)
    centre = torch.tensor([0.4, -0.3], dtype=torch.float64)
    got = mixture.probability_within(centre, radius).item()
    assert got == pytest.approx(disc_by_quadrature(mixture, centre.tolist(), radius), abs=1e-7)


@pytest.mark.parametrize(
    ("s1", "s2", "rho", "mean"),
    [
        (1e-3, 1e-3, 0.0, (0.0, 0.0)),
        (2.0, 1e-3, 0.99, (0.9, 0.1)),
        (1e-3, 2.0, 0.0, (1.0, 0.0)),
        (0.3, 0.3, 0.5, (1.0, 1.0)),
        (1e-3, 1e-3, 0.0, (1.0, 0.0)),  # on the rim
        (50.0, 50.0, 0.0, (3.0, 0.0)),
    ],
)
def test_probability_and_distance_of_sharp_and_flat_normals_match_a_large_sample(s1, s2, rho, mean):
    mixture = narrow(rho, s1, s2, mean)
    flow = mixture.sample(400_000, torch.Generator().manual_seed(1))
    centre = torch.zeros(2, dtype=torch.float64)
    distance = flow.norm(dim=-1)
    inside = (distance <= 1).double().mean().item()
    assert mixture.probability_within(centre, 1.0).item() == pytest.approx(inside, abs=4e-3)
    expected = distance.mean().item()
    assert mixture.expected_distance(centre).item() == pytest.approx(expected, rel=4e-3)


def test_expected_distance_matches_the_rice_distribution():
    mixture = narrow(0.0, 0.5, 0.5, mean=(0.6, -0.8))
    expected = stats.rice(1.0 / 0.5, scale=0.5).mean()
    got = mixture.expected_distance(torch.zeros(2)).item()
    assert got == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("radius", [-1.0, -1, torch.tensor([1.0, -1.0]), np.float32(-1)])
def test_bad_radius_is_refused(radius):
    with pytest.raises(ValueError, match="radius is -1"):
        random_mixture(2).probability_within(torch.zeros(2), radius)


@pytest.mark.parametrize("radius", [torch.nan, torch.inf, torch.tensor(torch.nan)])
def test_radius_that_is_not_finite_is_refused(radius):
    with pytest.raises(ValueError, match="must be finite"):
        random_mixture(2).probability_within(torch.zeros(2), radius)


def test_log_prob_far_away_and_in_half_precision():
    mixture = random_mixture(2)
    far = torch.tensor([[65504.0, 0.0], [-3e4, 3e4]], dtype=torch.float16)
    assert mixture.log_prob(far).tolist() == mixture.log_prob(far.double()).tolist()
    for x in (torch.inf, -torch.inf, 1e300):
        flow = torch.tensor([x, 1.0]).double()
        assert (mixture.log_prob(flow) < -1e150).all()
        assert (mixture.probability_within(flow, 1e6) == 0).all()
        assert (mixture.expected_distance(flow) > 1e99).all()
    assert mixture.log_prob(torch.tensor([torch.nan, 0])).isnan().all()


def test_variance_is_of_each_coordinate():
    mixture = random_mixture(4)
    flow = mixture.sample(200_000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(mixture.variance, flow.var(0), rtol=0.03, atol=0.03)


def test_len_and_iteration_are_those_of_the_first_dimension():
    mixture = random_mixture(3, 2)
    assert len(mixture) == 3
    assert [part.shape for part in mixture] == [(2,)] * 3
    assert list(mixture)[1] == mixture[1]
    with pytest.raises(TypeError):
        len(mixture[0, 0])
    with pytest.raises(TypeError):
        list(mixture[0, 0])


def test_comparison_gives_one_answer():
    mixture = random_mixture(3)
    assert mixture == mixture
    assert mixture == copy.deepcopy(mixture)
    assert (mixture == random_mixture(3, seed=1)) is False
    assert (mixture == mixture[:2]) is False
    assert (mixture != mixture.scaled(torch.tensor([1, 2]))) is True
    assert (mixture == 3) is False
    assert mixture in [random_mixture(3, seed=1), mixture]
    with pytest.raises(TypeError, match="unhashable"):
        hash(mixture)


def test_detach_shares_memory_and_cuts_gradients():
    raw = torch.randn(2, 18, dtype=torch.float64, requires_grad=True)
    mixture = mixture_from_head(raw, 3, 1.0)
    detached = mixture.detach()
    assert mixture.mean.requires_grad and not detached.mean.requires_grad
    assert detached.locs.data_ptr() == mixture.locs.data_ptr()


def test_simple_indices_are_views():
    mixture = random_mixture(4, 6)
    for index in (1, slice(1, 3), (2, 5), (slice(None), 3), ..., None, (..., 2), (0, ..., None)):
        part = mixture[index]
        assert part.shape == torch.empty(4, 6)[index].shape
        for name in ("logits", "locs", "scale_tril"):
            shared = getattr(part, name).untyped_storage().data_ptr()
            assert shared == getattr(mixture, name).untyped_storage().data_ptr(), (index, name)


def test_indexing_acts_on_the_leading_dimensions():
    mixture = random_mixture(4, 6)
    flow = torch.randn(4, 6, 2, dtype=torch.float64)
    whole = mixture.log_prob(flow)
    for index in (1, slice(1, 3), (2, 5), (slice(None), 3), ..., torch.tensor([3, 0]), [3, 0]):
        torch.testing.assert_close(mixture[index].log_prob(flow[index]), whole[index])
    torch.testing.assert_close(mixture[..., 2].log_prob(flow[:, 2]), whole[:, 2])
    mask = torch.rand(4, 6) > 0.5
    torch.testing.assert_close(mixture[mask].log_prob(flow[mask]), whole[mask])
    for index in ((0, 0, 0), (..., 0, 0, 0), (0, 0, [1]), (slice(None),) * 3, 4):
        with pytest.raises(IndexError):
            mixture[index]


def test_scaling_is_a_change_of_units():
    mixture, factor = random_mixture(3), torch.tensor([20.0, 0.5], dtype=torch.float64)
    scaled = mixture.scaled(factor)
    flow = torch.randn(3, 2, dtype=torch.float64)
    torch.testing.assert_close(
        scaled.log_prob(flow * factor), mixture.log_prob(flow) - factor.log().sum()
    )
    torch.testing.assert_close(scaled.mean, mixture.mean * factor)
    assert (scaled.scale_tril[..., 0, 1] == 0).all()


ANSWERS = {
    "log_prob": lambda m, centre: m.log_prob(centre),
    "cdf": lambda m, centre: m.cdf(centre),
    "probability_within": lambda m, centre: m.probability_within(centre, 0.7),
    "expected_distance": lambda m, centre: m.expected_distance(centre),
    "entropy": lambda m, _: m.entropy(),
    "kl_divergence": lambda m, _: m.kl_divergence(random_mixture(len(m), seed=9)),
    "sampled kl_divergence": lambda m, _: m.kl_divergence(
        random_mixture(len(m), seed=9), 8, torch.Generator().manual_seed(0)
    ),
    "mode": lambda m, _: m.mode,
    "mean": lambda m, _: m.mean,
    "variance": lambda m, _: m.variance,
}


@pytest.mark.parametrize("name", ANSWERS)
def test_gradients_reach_every_tensor_round_components_included(name):
    """Round, round around the centre, long and upright, long and turned; one weight is zero."""
    logits = torch.tensor([[0.3, -0.2, 0.1], [0.5, 0.2, -torch.inf]]).double()
    locs = torch.tensor([[[0, 0], [0.5, 0.3], [1, 2]], [[0.2, 0], [0.1, -1], [3, 3]]]).double()
    rows = [[0.5, 0, 0.5], [0.6, 0, 0.6], [0.9, 0, 0.3]], [[1, 0.4, 0.7], [0.5, 0, 1], [1, 0, 1]]
    centre = torch.tensor([[0, 0], [0.3, 0.2]]).double()

    def answer(logits, locs, rows, centre):
        first, below, second = rows.unbind(-1)
        top = torch.stack([first, torch.zeros_like(first)], -1)
        tril = torch.stack([top, torch.stack([below, second], -1)], -2)
        weights = torch.where(torch.tensor([[1, 1, 1], [1, 1, 0]]).bool(), logits, -torch.inf)
        return ANSWERS[name](MotionMixture(weights.log_softmax(-1), locs, tril), centre)

    logits = logits.nan_to_num(neginf=0)
    inputs = [t.requires_grad_() for t in (logits, locs, torch.tensor(rows).double(), centre)]
    assert torch.autograd.gradcheck(answer, inputs, atol=2e-5, rtol=1e-4)


def test_gradients_can_be_asked_for_twice_and_after_inference():
    raw = torch.randn(2, 18, dtype=torch.float64, requires_grad=True)
    for kept in (normals._legendre_on, normals._disc_nodes, log_density._normal_nodes):
        kept.cache_clear()
    with torch.inference_mode():
        ask_everything(mixture_from_head(raw, 3, 1.0), torch.zeros(2))
    mixture = mixture_from_head(raw, 3, 1.0)
    for ask in ANSWERS.values():
        (gradient,) = torch.autograd.grad(
            ask(mixture, torch.zeros(2)).sum(), raw, retain_graph=True
        )
        assert gradient.isfinite().all() and gradient.any()


def ask_everything(mixture: MotionMixture, centre: torch.Tensor) -> dict[str, torch.Tensor]:
    answers = {name: answer(mixture, centre) for name, answer in ANSWERS.items()}
    return answers | {"first": mixture[:1].mean, "covariance": mixture.covariance}


def test_no_answer_waits_for_the_device():
    mixture, centre = random_mixture(3), torch.zeros(2)
    with RefuseToWait():
        ask_everything(mixture, centre)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_cuda_device_gives_the_same_without_a_wait():
    expected = ask_everything(random_mixture(3), torch.zeros(2))
    mixture, centre = random_mixture(3).to("cuda"), torch.zeros(2, device="cuda")
    mixture.entropy(), mixture.probability_within(centre, 1.0)  # copies the nodes, once
    del ANSWERS["kl_divergence"], ANSWERS["sampled kl_divergence"]  # they make a second mixture
    torch.cuda.set_sync_debug_mode("error")
    try:
        answers = ask_everything(mixture, centre)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for name, answer in answers.items():
        torch.testing.assert_close(answer.cpu(), expected[name])


def test_no_points_give_no_answers():
    mixture = random_mixture(0)
    for name, answer in ask_everything(random_mixture(1)[:0], torch.zeros(0, 2)).items():
        assert answer.numel() == 0, name
    assert mixture.sample(4).shape == (4, 0, 2)
    assert mixture.probability_within(torch.zeros(2), torch.zeros(0)).shape == (0,)
    assert len(mixture) == 0 and list(mixture) == []


def test_a_component_without_weight_changes_nothing():
    mixture = random_mixture(4, components=2)
    other = random_mixture(4, components=2, seed=5)
    nothing = torch.full((4, 2), -torch.inf, dtype=torch.float64)
    joined = MotionMixture(
        torch.cat([nothing, mixture.logits], -1),
        torch.cat([other.locs, mixture.locs], -2),
        torch.cat([other.scale_tril, mixture.scale_tril], -3),
    )
    centre = torch.zeros(2)
    answers, expected = ask_everything(joined, centre), ask_everything(mixture, centre)
    for name in set(expected) - {"sampled kl_divergence"}:
        torch.testing.assert_close(answers[name], expected[name])
    zeros = torch.zeros(1, 4, dtype=torch.float64)
    place = joined.draw(zeros, torch.zeros(1, 4, 2, dtype=torch.float64))
    assert torch.equal(place[0], mixture.locs[:, 0])
