# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from fpt_ros.data.moments import Moment
from fpt_ros.data.points import CELLS, evening_weights, moves
from fpt_ros.eval.cases import POINTS, Cases, make_case


def moment(points, flow, bodies=None, seen=None) -> Moment:
    points, flow = np.asarray(points, np.float32), np.asarray(flow, np.float32)
    seen = np.ones(len(points), bool) if seen is None else np.asarray(seen)
    return Moment(
        "clip", np.zeros((8, 8, 3), np.uint8), points, flow[None], seen[None], np.array([True]),
        None if bodies is None else np.asarray(bodies, np.int32),
    )  # fmt: skip


def grid(count: int) -> np.ndarray:
    side = (np.arange(count) + 0.5) / count
    return np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)


def test_every_moving_body_is_as_likely_to_be_poked():
    points = grid(15)
    bodies = np.full(len(points), 1)
    bodies[:6], bodies[6:30] = 2, 0
    flow = np.where(bodies == 0, 0, 0.1)[:, None] * [1, 0]
    small = 0
    for seed in range(200):
        case = make_case(moment(points, flow, bodies), 0, np.random.default_rng(seed))
        poked = [int(np.abs(points - poke[:2]).sum(1).argmin()) for poke in case.pokes]
        assert len(set(bodies[poked])) == 1 and len(set(poked)) == 4
        small += bodies[poked[0]] == 2
    assert 75 < small < 125


def test_what_is_asked_for():
    points = grid(4)
    bodies = np.repeat([0, 1, 2, 3], 4)
    flow = np.zeros((16, 2))
    flow[bodies == 1] = 0.2, 0
    flow[8] = 0, 0.3
    seen = bodies != 2
    case = make_case(moment(points, flow, bodies, seen), 0, np.random.default_rng(0), noise=0)
    body = 1 if case.pokes[0, 2] > 0.1 else 2
    asked = {tuple(point) for point in case.points.round(4).tolist()}
    poked = {tuple(poke[:2]) for poke in case.pokes.round(4).tolist()}
    # With bodies, what is hidden at the end is known as well.
    assert len(asked) == 12 and not asked & poked
    assert case.moving.sum() == (1 if body == 1 else 4)
    assert not case.same_body.any()  # all four points of the body were poked
    assert (case.noise == 0).all()


def test_without_bodies_only_points_seen_at_the_end_count():
    points = grid(6)
    flow = np.zeros((36, 2))
    flow[:10] = 0.1, 0.1
    seen = np.ones(36, bool)
    seen[5:12] = False
    for seed in range(20):
        case = make_case(moment(points, flow, seen=seen), 0, np.random.default_rng(seed))
        assert len(case.points) == 36 - 7 - 4
        np.testing.assert_allclose(case.pokes[:, 2:], 0.1)
        assert case.moving.sum() == 1 and not case.same_body.any()


def test_no_case_where_nothing_moves():
    points = grid(5)
    barely = np.full((25, 2), 0.003)
    assert make_case(moment(points, barely), 0, np.random.default_rng(0)) is None
    hidden = moment(points, np.where(np.arange(25)[:, None] < 5, 0.1, 0), seen=np.arange(25) >= 5)
    assert make_case(hidden, 0, np.random.default_rng(0)) is None


@pytest.mark.parametrize("known", [True, False])
def test_a_moving_cameras_part_is_not_motion(known):
    points = grid(12)
    # The camera turns a little about its axis and comes nearer; one thing slides as well.
    centre = points - 0.5
    flow = 0.05 * centre @ np.array([[1, 0.5], [-0.5, 1]]) + [0.03, 0.01]
    thing = np.zeros(144, bool)
    thing[30:40] = True
    flow[thing] += [0.0, 0.02]
    bodies = np.where(thing, 3, 0) if known else None
    points, flow = points.astype(np.float32), flow.astype(np.float32)
    np.testing.assert_array_equal(moves(points, flow, bodies), thing)


def test_weights_make_every_cell_count_alike():
    inside = np.random.default_rng(0).uniform(0, 1 / CELLS, (30, 2))
    points = np.concatenate([inside, [[0.99, 0.99], [1.0, 0.0]]]).astype(np.float32)
    weights = evening_weights(points)
    np.testing.assert_allclose(weights, [1 / 30] * 30 + [1, 1], rtol=1e-5)


def test_of_many_points_some_are_drawn():
    points = grid(40)
    flow = np.where(points[:, :1] < 0.25, 0.1, 0.0) * [1, 0]
    case = make_case(moment(points, flow), 0, np.random.default_rng(0))
    assert len(case.points) == POINTS and 0.15 < case.moving.mean() < 0.35


def test_arrays_of_all_cases(cases):
    first, second = cases.each[:2]
    both = Cases([first, second])
    assert len(both) == 2 and both.of.sum() == len(second.points)
    np.testing.assert_array_equal(both.flow[len(first.points) :], second.flow)
    np.testing.assert_array_equal(both.poke_flow[0], first.pokes[0, 2:])
    apart = second.points[-1] - second.pokes[0, :2]
    assert both.distance[-1] == pytest.approx(np.hypot(*apart))
    assert np.std(both.noisy_flow - both.flow) == pytest.approx(0.002, rel=0.1)
