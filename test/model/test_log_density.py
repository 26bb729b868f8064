# SPDX-License-Identifier: Apache-2.0
"""Entropy and divergence against dense integration, closed forms and samples."""

import pytest
import torch
from test_mixture import narrow, random_mixture


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


@pytest.mark.parametrize("seed", range(3))
def test_entropy_and_divergence_match_dense_integration(seed):
    p, q = (random_mixture(seed=2 * seed + k) for k in range(2))
    x = torch.linspace(-40, 40, 1201, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(x, x, indexing="ij"), -1)
    log_p, log_q = p.log_prob(grid), q.log_prob(grid)
    mass = log_p.exp() * (x[1] - x[0]) ** 2
    assert mass.sum().item() == pytest.approx(1, abs=1e-6)
    assert p.entropy().item() == pytest.approx(-(mass * log_p).sum().item(), abs=5e-4)
    expected = (mass * (log_p - log_q)).sum().item()
    assert p.kl_divergence(q).item() == pytest.approx(expected, rel=0.02, abs=5e-3)
    assert p.kl_divergence(q) == p.kl_divergence(q)
    assert p.kl_divergence(p).item() == 0


def test_entropy_and_divergence_of_single_normals_are_exact():
    p, q = narrow(0.3, 1.0, 80, (0.1, 0.2)), narrow(-0.99, 15, 0.1, (-40, 0.3))
    sp, sq = p.covariances[0], q.covariances[0]
    expected = 0.5 * torch.logdet(2 * torch.pi * torch.e * sp)
    assert p.entropy().item() == pytest.approx(expected.item(), abs=1e-12)
    apart = q.locs[0] - p.locs[0]
    expected = 0.5 * (
        (torch.linalg.inv(sq) @ sp).trace() + apart @ torch.linalg.inv(sq) @ apart - 2
    ) + 0.5 * (torch.logdet(sq) - torch.logdet(sp))
    assert p.kl_divergence(q).item() == pytest.approx(expected.item(), rel=1e-12)


def test_divergence_is_broadcast_and_the_sampled_one_agrees():
    p, q = random_mixture(3, 4), random_mixture(4, seed=1)
    exact = p.kl_divergence(q)
    assert exact.shape == p.entropy().shape == (3, 4)
    torch.testing.assert_close(exact[1, 2], p[1, 2].kl_divergence(q[2]))
    sampled = p.kl_divergence(q, samples=100_000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(sampled, exact, atol=0.02, rtol=0.02)
