from __future__ import annotations

import dataclasses

import numpy as np
import torch

from fpt_ros.training.batches import (
    Sampling,
    choose_poke,
    choose_queries,
    draw_batch,
    jitter_colours,
    mirror,
)
from fpt_ros.training.scenes import MOVING


def test_shapes_and_the_same_seed_gives_the_same_batch(toy_scenes):
    sampling = Sampling(images=4, motions=3, pokes=5, queries=7, pairs=10)
    batch, again = (draw_batch(toy_scenes, sampling, np.random.default_rng(3)) for _ in range(2))
    assert batch.images.shape == (4, 3, 64, 64)
    assert batch.poke_pos.shape == batch.poke_flow.shape == (12, 5, 2)
    assert batch.query_pos.shape == batch.query_flow.shape == (12, 5, 7, 2)
    assert batch.query_weight.shape == (12, 5, 7)
    assert batch.pair_pos.shape == (4, 10, 2) and batch.pair_bodies.shape == (4, 10)
    for field in dataclasses.fields(batch):
        torch.testing.assert_close(getattr(batch, field.name), getattr(again, field.name))


def test_every_moving_body_is_poked_as_often(toy_scenes):
    scene = toy_scenes[0]
    flow = np.full_like(scene.flows[0], 0.1)
    flow[scene.bodies == 0] = 0
    bodies = scene.bodies.copy()
    few = np.flatnonzero(bodies == 1)[3:]
    flow[few] = 0  # only three points of body 1 still move
    rng = np.random.default_rng(0)
    chosen = np.array([choose_poke(flow, bodies, rng) for _ in range(2000)])
    assert (np.linalg.norm(flow[chosen], axis=-1) > MOVING).all()
    assert abs((bodies[chosen] == 1).mean() - 0.5) < 0.04


def test_pokes_are_honest_and_mostly_move(toy_scenes):
    sampling = Sampling(images=16, motions=3, augment=False, static_poke=0.2)
    batch = draw_batch(toy_scenes, sampling, np.random.default_rng(0))
    lengths = batch.poke_flow.norm(dim=-1)
    assert 0.7 < (lengths > MOVING).float().mean() < 0.95
    assert (lengths[lengths <= MOVING] == 0).all()


def test_queries_on_bodies_weigh_less(toy_scenes):
    scene = toy_scenes[0]
    sampling = Sampling(pokes=50, queries=40, body_share=0.25, body_weight=0.3)
    queries, weights = choose_queries(scene, sampling, np.random.default_rng(0))
    drawn_on_bodies = queries >= scene.uniform
    assert abs(drawn_on_bodies.mean() - 0.25) < 0.03
    np.testing.assert_allclose(weights[drawn_on_bodies], 0.3)
    np.testing.assert_allclose(weights[~drawn_on_bodies], 1.0)


def test_a_mirrored_scene_is_what_a_mirror_shows(toy_scenes):
    scene = toy_scenes[0]
    seen = mirror(scene)
    side = scene.image.shape[0]

    def colours(of):
        columns, rows = (of.points * side).astype(int).T
        return of.image[rows, columns]

    np.testing.assert_array_equal(colours(seen), colours(scene))
    tips, seen_tips = scene.points + scene.flows, seen.points + seen.flows
    np.testing.assert_allclose(seen_tips[..., 0], 1 - tips[..., 0], atol=1e-6)
    np.testing.assert_allclose(seen_tips[..., 1], tips[..., 1], atol=1e-6)


def test_colours_vary_within_the_range():
    images = np.zeros((8, 3, 4, 4), np.float32) + 0.9
    out = jitter_colours(images, np.random.default_rng(0))
    assert out.dtype == np.float32 and np.abs(out).max() <= 1
    assert len(np.unique(out[:, 0, 0, 0])) > 4


def test_targets_carry_the_noise(toy_scenes):
    sampling = Sampling(images=16, augment=False, noise=0.002, body_share=0.0)
    batch = draw_batch(toy_scenes, sampling, np.random.default_rng(0))
    static = batch.query_flow[batch.query_flow.norm(dim=-1) < 0.01]
    assert abs(static.std().item() - 0.002) < 2e-4
