# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import batches, tiny_recipe
from toy_clips import SIDE, toy_clip

from fpt_ros.data.clips import SampleError, clip_files
from fpt_ros.data.moments import Moment, read_moment
from fpt_ros.training.augment import crop, mirror, photograph
from fpt_ros.training.recipes import Sampling
from fpt_ros.training.sampling import (
    choose_pokes,
    choose_queries,
    draw_as_published,
    draw_motion,
    draw_sample,
)


def sample(seed: int = 0, bodies: bool = True) -> dict:
    clip = toy_clip(np.random.default_rng(seed), "toy", bodies)
    return {"__key__": "toy", **clip_files(clip)}


def moment(seed: int = 0, bodies: bool = True) -> Moment:
    return read_moment(sample(seed, bodies), 0, [1, 2, 3])


def test_shapes_and_types(toy_data):
    recipe = tiny_recipe(images=4, motions=2, pokes=3, queries=7, pairs=10)
    batch = next(batches(recipe, toy_data / "train")).batch
    assert batch.images.shape == (4, 3, 64, 64) and batch.images.dtype == torch.uint8
    assert batch.poke_pos.shape == batch.poke_flow.shape == (8, 3, 2)
    assert (
        batch.query_pos.shape == batch.query_flow.shape == batch.query_noise.shape == (8, 3, 7, 2)
    )
    assert batch.query_weight.shape == (8, 3, 7) and batch.camera_static.shape == (8,)
    assert batch.pair_pos.shape == (4, 10, 2) and batch.pair_bodies.shape == (4, 10)
    assert batch.pair_flow.shape == (8, 10, 2)
    floats = [t for t in batch if t.is_floating_point()]
    assert all(t.dtype == torch.float32 for t in floats) and len(floats) == 8


def test_worker_processes_draw_the_same(toy_data):
    recipe = tiny_recipe(steps=4)
    alone = list(batches(recipe, toy_data / "train"))
    helped = list(batches(recipe, toy_data / "train", workers=2))
    for ours, theirs in zip(alone, helped, strict=True):
        assert ours.names == theirs.names
        assert all(map(torch.equal, ours.batch, theirs.batch))


def test_pokes_and_queries_are_true_motions():
    clip = toy_clip(np.random.default_rng(0), "toy")
    sampling = Sampling(
        motions=6, pokes=5, queries=9, skips=(1, -1, 2), published=False, any_poke=0.5
    )
    files = {"__key__": "toy", **clip_files(clip)}
    drawn = draw_sample(files, sampling, SIDE, 0.0, np.random.default_rng(3))
    known = np.concatenate(
        [
            np.concatenate([clip.tracks[s], clip.tracks[s + k] - clip.tracks[s]], -1)
            for k in sampling.skips
            for s in range(max(0, -k), len(clip.tracks) - max(0, k))
        ]
    )
    drawn["pair_pos"] = np.broadcast_to(drawn["pair_pos"], drawn["pair_flow"].shape)
    for kind in ("poke", "query", "pair"):
        pairs = np.concatenate([drawn[f"{kind}_pos"], drawn[f"{kind}_flow"]], -1).reshape(-1, 1, 4)
        assert np.abs(pairs - known).max(-1).min(-1).max() < 1e-6


def test_pokes_are_mostly_on_what_moves():
    sampling = Sampling(pokes=400, any_poke=0.25)
    moving = np.arange(10, 20)
    bodies = np.repeat([0, 1, 2], [12, 7, 81])  # of the moving ones, 2 are on the world, 7 on 1
    evenly = np.full(100, 0.01)
    pokes = choose_pokes(moving, bodies, evenly, sampling, np.random.default_rng(0))
    share = np.isin(pokes, moving).mean()
    assert abs(share - (0.75 + 0.25 * 0.1)) < 0.06
    each = [np.isin(pokes, moving[bodies[moving] == body]).mean() for body in (0, 1, 2)]
    assert max(each) - min(each) < 0.1, "every moving body is poked as often"
    nothing = choose_pokes(moving[:0], bodies, evenly, sampling, np.random.default_rng(0))
    assert len(np.unique(nothing)) > 50


def test_some_motions_are_poked_on_one_body():
    sampling = Sampling(pokes=6, any_poke=0.0, one_body=0.4)
    moving, bodies = np.arange(40), np.repeat([1, 2], [10, 30])
    rng = np.random.default_rng(0)
    motions = [choose_pokes(moving, bodies, np.full(40, 1 / 40), sampling, rng) for _ in range(400)]
    poked = [np.unique(bodies[pokes]).tolist() for pokes in motions]
    assert abs(np.mean([bodies == [1, 2] for bodies in poked]) - 0.6 * (1 - 2 / 2**6)) < 0.07
    assert abs(poked.count([1]) - poked.count([2])) < 50, "either body as often"
    unknown = choose_pokes(moving, None, np.full(40, 1 / 40), sampling, rng)
    assert set(unknown) <= set(moving)


def test_queries_are_even_over_the_picture_and_some_on_bodies():
    sampling = Sampling(pokes=50, queries=40, body_share=0.25, body_weight=0.3)
    bodies = np.repeat([0, 1], [50, 50])
    evenly = np.where(np.arange(100) == 7, 0.5, 0.5 / 99)
    queries, weights = choose_queries(bodies, evenly, sampling, np.random.default_rng(0))
    on_bodies = weights != 1
    assert abs(on_bodies.mean() - 0.25) < 0.03
    np.testing.assert_allclose(weights[on_bodies], 0.3)
    assert (bodies[queries[on_bodies]] == 1).all()
    assert abs((queries[~on_bodies] == 7).mean() - 0.5) < 0.05
    unknown, weights = choose_queries(None, evenly, sampling, np.random.default_rng(0))
    assert (weights == 1).all() and unknown.shape == (50, 40)


def test_estimated_tracks_are_trusted_only_while_seen():
    found = moment(bodies=False)
    hidden = found.points[:, 0] > 0.5
    found = replace(found, seen=found.seen & ~hidden)
    sampling = Sampling(pokes=40, queries=5, any_poke=0.5)
    drawn = draw_motion(found, 0, sampling, 0.0, np.random.default_rng(0))
    assert drawn["query_pos"][..., 0].max() <= 0.5 and drawn["poke_pos"][..., 0].max() <= 0.5
    exact = replace(found, bodies=moment().bodies)
    drawn = draw_motion(exact, 0, sampling, 0.0, np.random.default_rng(0))
    assert drawn["query_pos"][..., 0].max() > 0.5
    with pytest.raises(SampleError, match="sample 'toy': no track is visible at both ends"):
        nowhere = replace(found, seen=np.zeros_like(found.seen))
        draw_motion(nowhere, 0, sampling, 0.0, np.random.default_rng(0))


def test_what_moves_in_front_of_the_world_does_not_move_the_camera():
    clip = toy_clip(np.random.default_rng(0), "toy")
    own = np.repeat([0, 1], [50, len(clip.bodies) - 50]).astype(np.int32)
    tracks = np.full_like(clip.tracks, 0.5)
    tracks[1:, own == 1] += 0.1
    clip = replace(clip, tracks=tracks, visibility=np.ones_like(clip.visibility))
    for bodies, static in ((own, True), (None, False)):  # by the paper's rule alone it moves
        files = {"__key__": "toy", **clip_files(replace(clip, bodies=bodies))}
        assert read_moment(files, 0, [1]).camera_static.tolist() == [static]


def test_a_camera_may_be_known_beforehand():
    for camera, static in (("tracks", True), ("static", True), ("moving", False)):
        assert read_moment(sample(), 0, [1, 2], camera).camera_static.tolist() == [static, static]


def test_the_published_drawing_takes_tracks_in_any_order_and_whatever_becomes_of_them():
    count, sampling = 90, Sampling(pokes=60, queries=7)
    points = np.random.default_rng(1).random((count, 2), np.float32)
    hidden = np.zeros((2, count), bool)  # at the motion's end, which does not matter
    found = Moment("toy", np.zeros((4, 4, 3), np.uint8), points, np.stack([0 * points, points]),
                   hidden, hidden[:, 0])  # fmt: skip
    place = {tuple(point): number for number, point in enumerate(points.tolist())}
    first = []
    for seed in range(200):
        drawn = draw_as_published(found, 1, sampling, 0.0, np.random.default_rng(seed))
        order = np.random.default_rng(seed).permutation(count)
        np.testing.assert_array_equal(drawn["poke_pos"], points[order[:60]])
        asked = [[place[tuple(point)] for point in row] for row in drawn["query_pos"].tolist()]
        rank = np.argsort(order)[np.array(asked)]
        assert (np.diff(rank) == 1).all(), "a number of pokes has queries that follow one another"
        first.append(rank[:, 0])
        for kind in ("poke", "query"):
            np.testing.assert_array_equal(drawn[f"{kind}_flow"], drawn[f"{kind}_pos"])
    least, most = np.min(first, 0), np.max(first, 0)
    assert least.max() <= 3 and (most < count - 7 - np.arange(60)).all()
    assert abs(np.mean(first, 0)[0] - (count - 8) / 2) < 6, "each place is as likely"
    with pytest.raises(SampleError, match=r"90 tracks are fewer than 300 pokes and 7 queries"):
        many = replace(sampling, pokes=300)
        draw_as_published(found, 1, many, 0.0, np.random.default_rng(0))


def test_noise_has_its_deviation():
    sampling = Sampling(skips=(1,), published=False)
    drawn = draw_sample(sample(), sampling, SIDE, 0.004, np.random.default_rng(0))
    assert abs(drawn["query_noise"].std() - 0.004) < 4e-4


def test_a_clip_too_short_says_so():
    message = "of its 4 frames none has 143 visible tracks and a target 25 frames on"
    with pytest.raises(SampleError, match=message):
        draw_sample(sample(), Sampling(), SIDE, 0.0, np.random.default_rng(0))


def colours(of: Moment) -> np.ndarray:
    columns, rows = (of.points * len(of.image)).astype(int).T
    return of.image[rows, columns]


def test_a_mirrored_moment_is_what_a_mirror_shows():
    found = moment()
    seen = mirror(found)
    np.testing.assert_array_equal(colours(seen), colours(found))
    tips, seen_tips = found.points + found.flows, seen.points + seen.flows
    np.testing.assert_allclose(seen_tips[..., 0], 1 - tips[..., 0], atol=1e-6)
    np.testing.assert_allclose(seen_tips[..., 1], tips[..., 1], atol=1e-6)


def test_a_crop_shows_its_points_where_they_were():
    found = moment()
    found = replace(found, bodies=np.arange(len(found.points)))  # to know them again
    part = crop(found, 0.8, np.random.default_rng(1))
    size, kept = len(part.image), part.bodies
    assert 0.8 * SIDE <= size < SIDE and len(kept) < len(found.points)
    np.testing.assert_array_equal(colours(part), colours(found)[kept])
    shift = found.points[kept] * SIDE - part.points * size
    np.testing.assert_allclose(shift, np.broadcast_to(shift[0], shift.shape), atol=1e-4)
    np.testing.assert_allclose(part.flows * size, found.flows[:, kept] * SIDE, atol=1e-4)
    ends = part.points + part.flows
    assert not part.seen[((ends < 0) | (ends > 1)).any(-1)].any()


def test_photographs_vary_and_stay_recognisable():
    image = moment().image
    rng = np.random.default_rng(0)
    taken = [photograph(image, rng) for _ in range(8)]
    assert all(p.dtype == np.uint8 and p.shape == image.shape for p in taken)
    assert len({p.tobytes() for p in taken}) == 8
    flat = image.reshape(-1).astype(float)
    assert min(np.corrcoef(flat, p.reshape(-1))[0, 1] for p in taken) > 0.6
