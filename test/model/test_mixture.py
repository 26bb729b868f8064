"""Each operation of the mixture against an independent source: SciPy, quadrature, samples."""

import numpy as np
import pytest
import torch
from scipy import integrate, stats

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


def test_bad_radius_is_refused():
    with pytest.raises(ValueError, match="radius is -1"):
        random_mixture(2).probability_within(torch.zeros(2), -1.0)


def test_kl_divergence_matches_the_closed_form_of_normals():
    p, q = narrow(0.3, 1.0, 0.8, (0.1, 0.2)), narrow(-0.2, 1.5, 1.1, (-0.4, 0.3))
    sp, sq = p.covariances[0], q.covariances[0]
    apart = q.locs[0] - p.locs[0]
    expected = 0.5 * (
        (torch.linalg.inv(sq) @ sp).trace()
        + apart @ torch.linalg.inv(sq) @ apart
        - 2
        + torch.logdet(sq)
        - torch.logdet(sp)
    )
    got = p.kl_divergence(q, samples=200_000, generator=torch.Generator().manual_seed(0))
    assert got.item() == pytest.approx(expected.item(), abs=0.01)
    assert p.kl_divergence(p, samples=100).item() == pytest.approx(0, abs=1e-12)


def test_indexing_acts_on_the_leading_dimensions():
    mixture = random_mixture(4, 6)
    flow = torch.randn(4, 6, 2, dtype=torch.float64)
    whole = mixture.log_prob(flow)
    for index in (1, slice(1, 3), (2, 5), (slice(None), 3), ..., torch.tensor([3, 0])):
        torch.testing.assert_close(mixture[index].log_prob(flow[index]), whole[index])
    torch.testing.assert_close(mixture[..., 2].log_prob(flow[:, 2]), whole[:, 2])
    mask = torch.rand(4, 6) > 0.5
    torch.testing.assert_close(mixture[mask].log_prob(flow[mask]), whole[mask])
    with pytest.raises(IndexError):
        mixture[0, 0, 0]


def test_scaling_is_a_change_of_units():
    mixture, factor = random_mixture(3), torch.tensor([20.0, 0.5], dtype=torch.float64)
    scaled = mixture.scaled(factor)
    flow = torch.randn(3, 2, dtype=torch.float64)
    torch.testing.assert_close(
        scaled.log_prob(flow * factor), mixture.log_prob(flow) - factor.log().sum()
    )
    torch.testing.assert_close(scaled.mean, mixture.mean * factor)
    assert (scaled.scale_tril[..., 0, 1] == 0).all()
