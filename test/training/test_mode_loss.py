# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import torch
from tiny import batches, tiny_recipe, tiny_trainer

from fpt_ros.model.small.modes import SPREAD, MotionModes
from fpt_ros.training.mode_loss import STILL, mode_loss


def seeded(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def modes_of(count: int, noise: float) -> MotionModes:
    modes = MotionModes(channels=8, pair_channels=0, count=count, hidden=16, reach=0.2)
    torch.nn.init.constant_(modes.log_noise, math.log(noise))
    return modes


def turned(pos: torch.Tensor) -> torch.Tensor:
    return torch.stack([-pos[..., 1], pos[..., 0]], -1)


def test_loss_is_the_error_in_the_root_mean_square_of_the_bodys_flows():
    """Where no field is left, 0 is expected: all of a flow is error."""
    modes, pos = modes_of(1, noise=0.1), seeded(2, 20, 2, seed=1).sigmoid()
    flow = torch.tensor([0.1, 0.0]).expand(2, 3, 20, 2).clone()
    flow[0, 1] = 0.0  # as where the camera moves
    flow[1, 0, :, 0] = STILL / 2
    bodies = torch.tensor([[1] * 10 + [7] * 6 + [2] * 4, [3] * 8 + [-1] * 6 + [0] * 6])
    loss = mode_loss(modes, torch.zeros(2, 20, SPREAD + 2), pos, flow, bodies)
    torch.testing.assert_close(loss.detach(), torch.tensor(4 / 6))


def test_a_body_that_moves_further_teaches_no_more():
    modes, pos = modes_of(2, noise=0.3), seeded(1, 20, 2, seed=1).sigmoid()
    values, flow = seeded(1, 20, SPREAD + 4, seed=2), 0.3 * seeded(1, 2, 20, 2, seed=3)
    losses = [mode_loss(modes, values, pos, s * flow, torch.ones(1, 20).int()) for s in (1, 2)]
    torch.testing.assert_close(*losses)


def test_who_knows_the_hinge_makes_no_error():
    modes, pos = modes_of(1, noise=1e-3), seeded(1, 20, 2, seed=1).sigmoid()
    values = torch.cat([torch.zeros(1, 20, SPREAD), turned(pos)], -1)
    flow = torch.tensor([0.3, -0.1]).view(1, 2, 1, 1) * turned(pos)[:, None]
    assert mode_loss(modes, values, pos, flow, torch.ones(1, 20).int()) < 1e-3


def test_learning_finds_how_a_door_turns():
    """From the covariance alone: the other field is kept at 0."""
    modes = modes_of(1, noise=0.2)
    pos = torch.rand(1, 30, 2, generator=torch.Generator().manual_seed(0))
    flow = torch.tensor([0.3, -0.1, 0.05]).view(1, 3, 1, 1) * turned(pos)[:, None]
    bodies = torch.ones(1, 30, dtype=torch.int32)
    entries = (0.1 * seeded(1, 30, SPREAD, seed=1)).requires_grad_()
    optimizer = torch.optim.Adam([entries], lr=0.03)
    for _ in range(300):
        optimizer.zero_grad()
        values = torch.cat([entries, torch.zeros(1, 30, 2)], -1)
        loss = mode_loss(modes, values, pos, flow, bodies)
        loss.backward()
        optimizer.step()
    assert loss < 0.1


def test_nothing_that_moves_gives_nothing():
    values = seeded(2, 6, SPREAD + 8, seed=1).requires_grad_()
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
    found = measured[True]
    parts = found["weighted_nll"] + 2 * found["pair"] + 3 * found["mode"]
    torch.testing.assert_close(found["loss"], parts)
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
