# SPDX-License-Identifier: Apache-2.0
"""The mode of a mixture against a search on a grid."""

import pytest
import torch
from test_mixture import random_mixture


@pytest.mark.parametrize("seed", range(4))
def test_mode_is_the_highest_place_of_a_grid(seed):
    mixture = random_mixture(5, components=4, seed=seed)
    x = torch.linspace(-12, 12, 481, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(x, x, indexing="ij"), -1)[:, :, None]
    highest = mixture.log_prob(grid).flatten(0, 1).max(0).values
    at = mixture.mode.requires_grad_()
    found = mixture.log_prob(at)
    assert (found >= highest).all()
    assert (found < highest + 0.01).all()
    assert torch.autograd.grad(found.sum(), at)[0].abs().max() < 1e-8
