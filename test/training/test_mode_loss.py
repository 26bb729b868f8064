from __future__ import annotations

import math

import numpy as np
import torch
from scipy.stats import multivariate_normal
from tiny import batches, tiny_recipe, tiny_trainer

from fpt_ros.model.modes import AFFINE, MotionModes
from fpt_ros.training.mode_loss import STILL, mode_loss


def seeded(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def modes_of(count: int, noise: float) -> MotionModes:
    modes = MotionModes(channels=8, pair_channels=0, count=count)
    torch.nn.init.constant_(modes.log_noise, math.log(noise))
    return modes


def test_loss_is_the_density_of_each_moving_body():
    """Against SciPy's, with the covariance written out."""
    modes = modes_of(3, noise=0.4)
    values, flow = seeded(2, 12, AFFINE + 6, seed=1), 0.1 * seeded(2, 4, 12, 2, seed=2)
    pos = seeded(2, 12, 2, seed=3).sigmoid()
    bodies = torch.tensor([[1] * 5 + [7] * 4 + [0] * 3, [-1] * 6 + [2] * 3 + [3] * 3])
    flow[0, 1] = 0.0  # as where the camera moves
    flow[0, 2, :5] = STILL / 10
    loss = mode_loss(modes, values, pos, flow, bodies)
    expected = 0.0
    for motion in range(4):
        for body in (1, 7):
            on = bodies[0] == body
            rows = flow[0, motion, on].double().numpy().ravel()
            rms = np.sqrt(np.mean(rows**2))
            if rms > STILL:
                fields = modes.fields_at(pos[0, on] - pos[0, on].mean(0), values[0, on])
                matrix = fields.double().numpy().reshape(len(rows), -1)
                covariance = matrix @ matrix.T + 0.4**2 * np.eye(len(rows))
                density = multivariate_normal(cov=covariance).logpdf(rows / rms)
                expected += -density / len(rows) - 0.5 * math.log(2 * math.pi)
    torch.testing.assert_close(
        loss.detach(), torch.tensor(expected / 8, dtype=loss.dtype), rtol=1e-4, atol=0
    )


def test_learning_finds_the_field_of_a_hinge():
    modes = modes_of(1, noise=0.2)
    pos = torch.rand(1, 30, 2, generator=torch.Generator().manual_seed(0))
    turned = torch.stack([-pos[..., 1], pos[..., 0]], -1)
    flow = torch.tensor([0.3, -0.1, 0.05]).view(1, 3, 1, 1) * turned[:, None]
    bodies = torch.ones(1, 30, dtype=torch.int32)
    field = (0.1 * seeded(1, 30, 2, seed=1)).requires_grad_()
    optimizer = torch.optim.Adam([field], lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        values = torch.cat([torch.zeros(1, 30, AFFINE), field], -1)
        mode_loss(modes, values, pos, flow, bodies).backward()
        optimizer.step()
    alike = torch.cosine_similarity(field.detach().flatten(), turned.flatten(), 0)
    assert abs(alike) > 0.99


def test_nothing_that_moves_gives_nothing():
    values = seeded(2, 6, AFFINE + 8, seed=1).requires_grad_()
    pos, flow = seeded(2, 6, 2, seed=3), seeded(2, 1, 6, 2, seed=2)
    loss = mode_loss(modes_of(4, noise=0.4), values, pos, flow, torch.zeros(2, 6).int())
    loss.backward()
    assert loss.item() == 0 and not values.grad.any()


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


def test_encoder_and_modes_learn_alone_at_first(toy_data):
    recipe = tiny_recipe(pair_steps=1)
    trainer = tiny_trainer(recipe)
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    found = trainer.train_step(next(iter(batches(recipe, toy_data / "train"))))
    assert "nll" not in found and found["mode"] != 0
    changed = {
        name for name, p in trainer.model.named_parameters() if not torch.equal(p, before[name])
    }
    assert "modes.fields.2.weight" in changed and "image_embedder.model.pair.weight" in changed
    assert not any(name.startswith(("transformer", "out_mlp", "guess_emb")) for name in changed)
