from __future__ import annotations

import math

import numpy as np
import torch
from scipy.stats import multivariate_normal
from tiny import batches, tiny_recipe, tiny_trainer

from fpt_ros.training.mode_loss import STILL, mode_loss


def seeded(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_loss_is_the_density_of_each_moving_body():
    """Against SciPy's, with the covariance written out."""
    modes, flow = seeded(2, 12, 2, 3, seed=1), 0.1 * seeded(2, 4, 12, 2, seed=2)
    bodies = torch.tensor([[1] * 5 + [7] * 4 + [0] * 3, [-1] * 6 + [2] * 3 + [3] * 3])
    flow[0, 1] = 0.0  # as where the camera moves
    flow[0, 2, :5] = STILL / 10
    noise = 0.4
    loss = mode_loss(modes, torch.tensor(math.log(noise)), flow, bodies)
    expected = 0.0
    for motion in range(4):
        for body in (1, 7):
            on = bodies[0] == body
            values = flow[0, motion, on].double().numpy().ravel()
            rms = np.sqrt(np.mean(values**2))
            if rms > STILL:
                matrix = modes[0, on].double().numpy().reshape(len(values), 3)
                covariance = matrix @ matrix.T + noise**2 * np.eye(len(values))
                density = multivariate_normal(cov=covariance).logpdf(values / rms)
                expected += -density / len(values) - 0.5 * math.log(2 * math.pi)
    torch.testing.assert_close(
        loss, torch.tensor(expected / 8, dtype=loss.dtype), rtol=1e-4, atol=0
    )


def test_learning_finds_the_field_of_a_hinge():
    pos = torch.rand(1, 30, 2, generator=torch.Generator().manual_seed(0))
    turned = torch.stack([-pos[..., 1], pos[..., 0]], -1)
    flow = torch.tensor([0.3, -0.1, 0.05]).view(1, 3, 1, 1) * turned[:, None]
    bodies = torch.ones(1, 30, dtype=torch.int32)
    modes = (0.1 * seeded(1, 30, 2, 1, seed=1)).requires_grad_()
    log_noise = torch.tensor(-1.5)
    optimizer = torch.optim.Adam([modes], lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        mode_loss(modes, log_noise, flow, bodies).backward()
        optimizer.step()
    alike = torch.cosine_similarity(modes.detach().flatten(), turned.flatten(), 0)
    assert abs(alike) > 0.99


def test_nothing_that_moves_gives_nothing():
    modes = seeded(2, 6, 2, 4, seed=1).requires_grad_()
    loss = mode_loss(modes, torch.tensor(-1.0), seeded(2, 1, 6, 2, seed=2), torch.zeros(2, 6).int())
    loss.backward()
    assert loss.item() == 0 and not modes.grad.any()


def test_a_training_step_has_it_from_still_cameras_alone(toy_data):
    recipe = tiny_recipe(pair_steps=0)
    loaded = next(iter(batches(recipe, toy_data / "train")))
    measured = {}
    for static in (True, False):
        batch = loaded.batch._replace(camera_static=torch.full((8,), static))
        measured[static] = tiny_trainer(recipe).loss(batch)
    assert measured[False]["mode"] == 0 and measured[True]["mode"] != 0
    parts = sum(measured[True][name] * w for name, w in (("nll", 1), ("pair", 2), ("mode", 0.5)))
    torch.testing.assert_close(measured[True]["loss"], parts)
    assert "mode" not in tiny_trainer(tiny_recipe(mode_weight=0.0)).loss(loaded.batch)
