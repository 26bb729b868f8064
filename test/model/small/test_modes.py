# SPDX-License-Identifier: Apache-2.0
"""The guess from the modes: Gaussian conditioning, and what it means for things that turn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fpt_ros.model.small.modes import AFFINE, SPREAD, MotionModes

REACH = 0.2

MANY = 50.0
"""A bias at which every poke counts in full."""


def modes_of(count: int, bias: float = MANY, noise: float = 0.3) -> MotionModes:
    modes = MotionModes(channels=8, pair_channels=2, count=count, hidden=16, reach=REACH)
    with torch.no_grad():
        modes.same_bias.fill_(bias)
        modes.log_noise.fill_(np.log(noise))
    return modes


def at(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def fields_of(
    modes: MotionModes, offset: torch.Tensor, at_centre: torch.Tensor, at_points: torch.Tensor
) -> np.ndarray:
    """Of several points, in float64: [2 * points, fields]."""
    fields = modes.fields_at(offset, at_centre[None], at_points)
    return fields.double().numpy().reshape(-1, AFFINE + modes.count)


@torch.no_grad()
def test_the_guess_is_the_conditional_mean_of_normal_flows():
    """Against the textbook's formula, from the joint covariance of all flows."""
    modes = modes_of(3)
    poke_pos, query_pos = at(2, 4, 2, seed=1).sigmoid(), at(2, 5, 2, seed=2).sigmoid()
    channels = 2 + SPREAD + 2 * 3
    at_poke, at_query = 0.5 * at(2, 4, channels, seed=3), 0.5 * at(2, 5, channels, seed=4)
    flow = at(2, 4, 2, seed=5)
    guess = modes.guess(query_pos, at_query, poke_pos, at_poke, flow)
    for row in range(2):
        for query in range(5):
            about, here = query_pos[row, query], at_query[row, query]
            known = fields_of(modes, poke_pos[row] - about, here, at_poke[row])
            asked = fields_of(modes, torch.zeros(1, 2), here, here[None])
            covariance = known @ known.T + 0.3**2 * np.eye(8)
            values = np.linalg.solve(covariance, flow[row].double().numpy().ravel())
            expected = [*(asked @ known.T @ values), 4]
            np.testing.assert_allclose(guess[row, query], expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_affine_fields_have_the_covariance_whose_factor_is_given():
    """At the point that they are about, and a step of `REACH` along x from there."""
    modes = MotionModes(channels=8, pair_channels=0, count=1, hidden=16, reach=REACH)
    factor = at(AFFINE, AFFINE, seed=1).tril()
    values = torch.cat([factor.diagonal(), factor[torch.tril_indices(6, 6, -1).unbind()]])
    values = torch.cat([values, torch.zeros(2)])[None]
    fields = modes.fields_at(torch.tensor([[0.0, 0.0], [REACH, 0.0]]), values, values)
    along_x, along_y, growing, turning, shear, other_shear = factor
    expected = [[along_x, along_y], [along_x + growing + shear, along_y + turning + other_shear]]
    torch.testing.assert_close(
        fields[..., :AFFINE], torch.stack([torch.stack(pair) for pair in expected])
    )


HINGE = torch.tensor([0.2, 0.5])


def turned(pos: torch.Tensor) -> torch.Tensor:
    """The flow of a door that turns round `HINGE`, a hinge that points at the camera."""
    x, y = (pos - HINGE).unbind(-1)
    return torch.stack([-y, x], -1)


def as_one_field(pos: torch.Tensor) -> torch.Tensor:
    """One body, no affine fields, the door's flow as the other field."""
    return torch.cat([torch.zeros(1, pos.shape[1], 2 + SPREAD), turned(pos)], -1)


def as_covariance(pos: torch.Tensor) -> torch.Tensor:
    """One body, no other field, whose affine motion goes one way only: a covariance of rank 1, in
    the factor's first column."""
    motion = F.pad(turned(pos), (0, AFFINE - 2))
    motion[..., 3] = REACH
    values = torch.zeros(1, pos.shape[1], 2 + SPREAD + 2)
    values[..., 2] = motion[..., 0]
    below = [
        2 + AFFINE + i for i, column in enumerate(torch.tril_indices(6, 6, -1)[1]) if not column
    ]
    values[..., below] = motion[..., 1:]
    return values


@pytest.mark.parametrize("values", [as_one_field, as_covariance])
@torch.no_grad()
def test_a_poke_on_a_door_tells_the_whole_door_how_to_turn(values):
    """Far from the hinge all goes further, in proportion."""
    modes = modes_of(1, noise=0.001)
    poke, points = torch.tensor([[[0.6, 0.4]]]), torch.rand(1, 20, 2)
    guess = modes.guess(points, values(points), poke, values(poke), 0.1 * turned(poke))
    torch.testing.assert_close(guess[..., :2], 0.1 * turned(points), rtol=1e-3, atol=1e-5)


@torch.no_grad()
def test_pokes_on_a_rigid_thing_tell_its_affine_motion():
    """One poke moves it as it is, three tell any affine motion."""
    modes = modes_of(1, noise=0.001)
    pokes, points = at(1, 3, 2, seed=1).sigmoid(), at(1, 20, 2, seed=2).sigmoid()
    values = torch.cat(
        [torch.zeros(2), torch.tensor([1.0, 1, 0.1, 0.1, 0.1, 0.1]), torch.zeros(17)]
    )
    motion = torch.tensor([[0.3, -0.2], [0.1, 0.4]])

    def flow(pos: torch.Tensor) -> torch.Tensor:
        return torch.tensor([0.05, -0.1]) + 0.2 * pos @ motion

    def guess(number: int) -> torch.Tensor:
        pos = pokes[:, :number]
        return modes.guess(
            points, values.expand(1, 20, -1), pos, values.expand(1, number, -1), flow(pos)
        )[..., :2]

    torch.testing.assert_close(guess(3), flow(points), rtol=1e-2, atol=1e-4)
    near = (points - pokes[:, :1]).norm(dim=-1) < REACH
    assert near.any()
    moved_along = flow(pokes[:, :1]).expand(1, 20, 2)
    torch.testing.assert_close(guess(1)[near], moved_along[near], rtol=0.1, atol=2e-3)


@torch.no_grad()
def test_pokes_on_other_bodies_and_unseen_ones_do_not_count():
    modes = modes_of(2, bias=3.0)
    pos, flow = torch.full((1, 2, 2), 0.5), at(1, 2, 2, seed=1)
    at_points = at(1, 2, 2 + SPREAD + 4, seed=2)
    at_points[..., :2] = torch.tensor([[0.0, 0.0], [20.0, 0.0]])  # two bodies
    apart = modes.guess(pos, at_points, pos, at_points, flow)
    for i in range(2):
        one = slice(i, i + 1)
        own = modes.guess(
            pos[:, one], at_points[:, one], pos[:, one], at_points[:, one], flow[:, one]
        )
        torch.testing.assert_close(apart[:, one], own)
        assert own[0, 0, 2].item() == pytest.approx(1 / (1 + math.exp(-3)), rel=1e-3)
    unseen = modes.guess(pos, at_points, pos, at_points, flow, torch.eye(2).bool().flip(0))
    torch.testing.assert_close(unseen, torch.zeros(1, 2, 3))
    none = modes.guess(pos, at_points, pos[:, :0], at_points[:, :0], flow[:, :0])
    assert torch.equal(none, torch.zeros(1, 2, 3))
