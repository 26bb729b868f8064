# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch

from fpt_ros.training.pair_loss import PairLoss


def test_loss_equals_the_formula_by_hand():
    loss = PairLoss(pair_channels=2)
    with torch.no_grad():
        loss.bias.fill_(0.5)
        loss.slope.fill_(2.0)
    # Embedding (x, 0) left to right; third channel is no part of it.
    features = torch.zeros(1, 3, 2, 2)
    features[0, 0, :, 1] = 1.0
    features[0, 2] = 7.0
    points = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.5, 0.0]]])
    bodies = torch.tensor([[1, 2, 1]])

    def term(apart, distance, same):
        p = torch.sigmoid(torch.tensor(0.5 - apart - 2.0 * distance))
        return -torch.log(p if same else 1 - p)

    expected = (term(1.0, 1.0, False) + term(0.25, 0.5, True) + term(0.25, 0.5, False)) / 3
    torch.testing.assert_close(loss(features, points, bodies), expected, rtol=1e-3, atol=1e-4)


def test_learning_pulls_one_body_together_and_others_apart():
    torch.manual_seed(0)
    features = (0.1 * torch.randn(1, 4, 8, 8)).requires_grad_()
    points = torch.rand(1, 40, 2)
    bodies = (points[..., 0] > 0.5).int()
    loss = PairLoss(pair_channels=4)
    optimizer = torch.optim.Adam([features, *loss.parameters()], lr=0.05)
    first = loss(features, points, bodies).item()
    for _ in range(100):
        optimizer.zero_grad()
        value = loss(features, points, bodies)
        value.backward()
        optimizer.step()
    assert value.item() < 0.3 * first
