"""The guess from the modes: Gaussian conditioning, and what it means for things that turn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fpt_ros.model.modes import AFFINE, REACH, MotionModes

MANY = 50.0
"""A bias at which every poke counts in full."""


def modes_of(count: int, bias: float = MANY, noise: float = 0.3) -> MotionModes:
    modes = MotionModes(channels=8, pair_channels=2, count=count)
    with torch.no_grad():
        modes.same_bias.fill_(bias)
        modes.log_noise.fill_(np.log(noise))
    return modes


def at(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def fields_of(modes: MotionModes, offset: torch.Tensor, values: torch.Tensor) -> np.ndarray:
    """Of several points, in float64: [2 * points, fields]."""
    return modes.fields_at(offset, values).double().numpy().reshape(-1, AFFINE + modes.count)


@torch.no_grad()
def test_the_guess_is_the_conditional_mean_of_normal_flows():
    """Against the textbook's formula, from the joint covariance of all flows."""
    modes = modes_of(3)
    poke_pos, query_pos = at(2, 4, 2, seed=1).sigmoid(), at(2, 5, 2, seed=2).sigmoid()
    at_poke, at_query = 0.5 * at(2, 4, 14, seed=3), 0.5 * at(2, 5, 14, seed=4)
    flow = at(2, 4, 2, seed=5)
    guess = modes.guess(query_pos, at_query, poke_pos, at_poke, flow)
    for row in range(2):
        for query in range(5):
            about = query_pos[row, query]
            known = fields_of(modes, poke_pos[row] - about, at_poke[row])
            asked = fields_of(modes, torch.zeros(1, 2), at_query[row, query : query + 1])
            covariance = known @ known.T + 0.3**2 * np.eye(8)
            values = np.linalg.solve(covariance, flow[row].double().numpy().ravel())
            expected = [*(asked @ known.T @ values), 4]
            np.testing.assert_allclose(guess[row, query], expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_poke_on_a_door_tells_the_whole_door_how_to_turn():
    """One mode, the field of a hinge: far from it all goes further, in proportion."""
    modes = modes_of(1, noise=0.001)
    hinge = torch.tensor([0.2, 0.5])

    def values(pos: torch.Tensor) -> torch.Tensor:
        """One body, no affine fields, the hinge's."""
        return torch.cat([torch.zeros(1, pos.shape[1], 2 + AFFINE), field(pos)], -1)

    def field(pos: torch.Tensor) -> torch.Tensor:
        x, y = (pos - hinge).unbind(-1)
        return torch.stack([-y, x], -1)

    poke, points = torch.tensor([[[0.6, 0.5]]]), torch.rand(1, 20, 2)
    guess = modes.guess(points, values(points), poke, values(poke), 0.1 * field(poke))
    torch.testing.assert_close(guess[..., :2], 0.1 * field(points), rtol=1e-3, atol=1e-5)


@torch.no_grad()
def test_pokes_on_a_rigid_thing_tell_its_affine_motion():
    """One poke moves it as it is, three tell any affine motion."""
    modes = modes_of(1, noise=0.001)
    pokes, points = at(1, 3, 2, seed=1).sigmoid(), at(1, 20, 2, seed=2).sigmoid()
    values = torch.cat([torch.zeros(2), torch.tensor([1.0, 1, 0.1, 0.1, 0.1, 0.1]), torch.zeros(2)])
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
    at_points = at(1, 2, 12, seed=2)
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
