# SPDX-License-Identifier: Apache-2.0
"""The integrals over one normal against SciPy, over all ratios of lengths."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats

from fpt_ros.model.normals import mass_in_disc, mean_length

SEVEN = 10.0 ** np.arange(-3, 4)


def turned(sigma, mean, angle):
    """Means and Cholesky factors of normals [n] whose axes are turned by `angle`."""
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
    root = turn * sigma[:, None, :]
    first = np.hypot(root[:, 0, 0], root[:, 0, 1])
    tril = np.zeros((len(sigma), 2, 2))
    tril[:, 0, 0], tril[:, 1, 0] = first, (root[:, 0] * root[:, 1]).sum(-1) / first
    tril[:, 1, 1] = sigma.prod(-1) / first
    return torch.from_numpy((turn @ mean[..., None])[..., 0]), torch.from_numpy(tril)


def disc_places(rng, n, radius, sigma):
    """Means anywhere, and more of them near the disc's rim and where it is most curved."""
    angle = rng.uniform(0, 2 * np.pi, n) * rng.choice([1, 1e-1, 1e-3], n)
    angle = np.where(rng.random(n) < 0.5, angle, np.pi / 2 - angle)
    at = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
    at *= np.where(rng.random(n) < 0.5, 1, rng.uniform(0, 1.5, n))[:, None]
    return at + sigma * rng.normal(0, 3, (n, 2))


def test_mass_in_a_disc_of_round_normals_at_any_ratio():
    rng = np.random.default_rng(0)
    n = 4000
    sigma = np.repeat(10 ** rng.uniform(-3, 3, (n, 1)), 2, 1)
    radius = sigma[:, 0] * 10 ** rng.uniform(-4, 5, n)
    mean = disc_places(rng, n, radius, sigma)
    expected = stats.ncx2.cdf((radius / sigma[:, 0]) ** 2, 2, ((mean / sigma) ** 2).sum(-1))
    got = mass_in_disc(*turned(sigma, mean, rng.uniform(0, 7, n)), torch.from_numpy(radius))
    np.testing.assert_allclose(got.numpy(), expected, rtol=0, atol=1e-8)


def disc_by_slices(sigma, mean, radius) -> float:
    """Adaptive quadrature over slices across the first axis, broken where the rim passes."""

    def slice_(t):
        half = radius * np.cos(t)
        ends = special.ndtr((np.array([half, -half]) - mean[1]) / sigma[1])
        x = (radius * np.sin(t) - mean[0]) / sigma[0]
        return np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi) / sigma[0] * (ends[0] - ends[1]) * half

    marks = [np.arcsin(np.clip((mean[0] + k * sigma[0]) / radius, -1, 1)) for k in range(-9, 10)]
    for k in range(-9, 10):
        rim = np.arccos(np.clip((abs(mean[1]) + k * sigma[1]) / radius, 0, 1))
        marks += [rim, -rim]
    marks = np.unique(np.clip(marks, marks[0], marks[18]))
    x, weight = np.polynomial.legendre.leggauss(40)
    total = 0.0
    for a, b in itertools.pairwise(marks):
        t = (a + b) / 2 + (b - a) / 2 * x
        total += (b - a) / 2 * (weight * np.array([slice_(node) for node in t])).sum()
    return total


@pytest.mark.parametrize("ratio", [1e-3, 1e-2, 0.1, 0.5, 1, 10, 1000])
def test_mass_in_a_disc_of_long_normals_at_any_ratio(ratio):
    rng = np.random.default_rng(1)
    n = 40
    sigma = np.array([1.0, ratio]) * 10 ** rng.uniform(-3, 3, (n, 1))
    radius = sigma.max(-1) * 10 ** rng.uniform(-4, 5, n)
    mean = disc_places(rng, n, radius, sigma)
    expected = [disc_by_slices(*case) for case in zip(sigma, mean, radius, strict=True)]
    got = mass_in_disc(*turned(sigma, mean, rng.uniform(0, 7, n)), torch.from_numpy(radius))
    np.testing.assert_allclose(got.numpy(), expected, rtol=0, atol=1e-8)


def test_mass_in_a_disc_where_most_nodes_are_needed():
    """The half axes in standard deviations are about as long as the reach of the nodes."""
    rng = np.random.default_rng(2)
    n = 20_000
    radius = rng.uniform(4, 9, n)
    mean = rng.normal(0, 1, (n, 2)) * rng.choice([0.01, 1, 4], (n, 1))
    expected = stats.ncx2.cdf(radius**2, 2, (mean**2).sum(-1))
    got = mass_in_disc(*turned(np.ones((n, 2)), mean, np.zeros(n)), torch.from_numpy(radius))
    np.testing.assert_allclose(got.numpy(), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ("radius", "x", "expected"),
    [
        (0.0, 0.0, 0.0),
        (0.0, 6.0, 0.0),
        (1e-300, 0.0, 0.0),
        (1e300, 3.0, 1.0),
        (1.0, 1e100, 0.0),
        (1e9, 1e9, 0.5),  # on the rim, which is straight from here
        (1e8, 1e8 - 1, stats.norm.cdf(1)),
        (1e8, 1e8 + 1, stats.norm.cdf(-1)),
    ],
)
def test_mass_in_a_disc_at_extremes(radius, x, expected):
    tril = torch.eye(2, dtype=torch.float64)
    for mean in ((x, 0.0), (0.0, -x)):
        got = mass_in_disc(
            torch.tensor(mean, dtype=torch.float64), tril, torch.tensor(radius).double()
        )
        assert got.item() == pytest.approx(expected, abs=1e-8)


def test_mean_length_of_round_normals_at_any_ratio():
    """Of the Rice distribution, in scaled Bessel functions."""
    ratio = 10 ** np.linspace(-4, 6, 400)
    half = ratio**2 / 4
    expected = np.sqrt(np.pi / 2) * (
        (1 + 2 * half) * special.i0e(half) + 2 * half * special.i1e(half)
    )
    for scale in SEVEN:
        mean = scale * torch.from_numpy(np.stack([0.6 * ratio, -0.8 * ratio], -1))
        got = mean_length(mean, scale * torch.eye(2, dtype=torch.float64).expand(400, 2, 2))
        np.testing.assert_allclose(got.numpy() / scale, expected, rtol=1e-8)


def length_by_directions(sigma, mean) -> float:
    """Integral over the directions from the origin, where that along each is a closed form."""
    x, y = mean / sigma
    far, towards = np.hypot(x, y), np.arctan2(y, x)
    marks = [-np.pi / 2, np.pi / 2]
    for centre, width in ((0, sigma[0] / sigma[1]), (np.pi / 2, sigma[1] / sigma[0])):
        marks += [centre + s * width * 2.0**k for s in (-1, 1) for k in range(-2, 20)]
    marks += [towards + s * 2.0**k / max(far, 1) for s in (-1, 1) for k in range(-2, 40)]
    marks = np.array([*marks, 0, towards])
    marks = np.unique((marks[abs(marks) < 7] + np.pi / 2) % np.pi - np.pi / 2)
    marks = np.concatenate([[-np.pi / 2], marks, [np.pi / 2]])
    node, weight = np.polynomial.legendre.leggauss(24)
    half = np.diff(marks)[:, None] / 2
    angle = marks[:-1, None] + half * (node + 1)
    along, across = x * np.cos(angle) + y * np.sin(angle), far * np.sin(angle - towards)
    length = np.hypot(sigma[0] * np.cos(angle), sigma[1] * np.sin(angle))
    density = length * (1 + along**2) * np.exp(-(across**2) / 2)
    return (half * weight * density).sum() / np.sqrt(2 * np.pi)


@pytest.mark.parametrize("ratio", [1e-3, 1e-2, 0.1, 0.5, 1, 10, 1000])
def test_mean_length_of_long_normals_at_any_ratio(ratio):
    rng = np.random.default_rng(3)
    n = 200
    sigma = np.array([1.0, ratio]) * 10 ** rng.uniform(-3, 3, (n, 1))
    mean = sigma.max(-1, keepdims=True) * 10 ** rng.uniform(-6, 3, (n, 2))
    mean *= rng.choice([0, 1], (n, 2), p=[0.2, 0.8])
    expected = [length_by_directions(*case) for case in zip(sigma, mean, strict=True)]
    got = mean_length(*turned(sigma, mean, rng.uniform(0, 7, n)))
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-8)


def test_mean_length_around_the_origin_is_an_elliptic_integral():
    ratio = 10 ** np.linspace(-3, 0, 50)
    expected = np.sqrt(2 / np.pi) * special.ellipe(1 - ratio**2)
    sigma = np.stack([ratio, np.ones(50)], -1)
    got = mean_length(*turned(sigma, np.zeros((50, 2)), np.linspace(0, 7, 50)))
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-8)


def test_the_references_agree_with_adaptive_quadrature():
    sigma, mean, radius = np.array([0.7, 2.0]), np.array([0.5, 1.2]), 2.5

    def density(r, angle):
        x = (r * math.cos(angle) - mean[0]) / sigma[0]
        y = (r * math.sin(angle) - mean[1]) / sigma[1]
        return r * math.exp(-(x * x + y * y) / 2) / (2 * math.pi * sigma[0] * sigma[1])

    inside = integrate.dblquad(density, 0, 2 * np.pi, 0, radius, epsabs=1e-9)[0]
    assert disc_by_slices(sigma, mean, radius) == pytest.approx(inside, abs=1e-9)
    length = integrate.dblquad(lambda r, a: r * density(r, a), 0, 2 * np.pi, 0, 20, epsabs=1e-7)[0]
    assert length_by_directions(sigma, mean) == pytest.approx(length, rel=1e-7)
