# SPDX-License-Identifier: Apache-2.0
"""What is drawn from a clip for training: a moment of it, pokes, queries and pairs of points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from fpt_ros.data.clips import SampleError, parse_tracks
from fpt_ros.data.moments import FEWEST_TRACKS, Moment, read_moment, start_frames, usable
from fpt_ros.data.points import evening_weights, moves
from fpt_ros.training.augment import crop, mirror, photograph, resized

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Bool, Float, Float32, Int, UInt8
    from torch import Tensor

    from fpt_ros.training.recipes import Sampling

UNKNOWN_BODY = -1


class Batch(NamedTuple):
    """``m = b * motions`` motions, those of one picture adjacent; units of the model."""

    images: UInt8[Tensor, "b 3 s s"]
    camera_static: Bool[Tensor, "m"]
    poke_pos: Float[Tensor, "m L 2"]
    poke_flow: Float[Tensor, "m L 2"]
    query_pos: Float[Tensor, "m L n 2"]
    query_flow: Float[Tensor, "m L n 2"]
    query_noise: Float[Tensor, "m L n 2"]
    """Added to the flow, where its likelihood is asked for."""
    query_weight: Float[Tensor, "m L n"]
    pair_pos: Float[Tensor, "b p 2"]
    pair_bodies: Int[Tensor, "b p"]
    """-1 where bodies are unknown."""
    pair_flow: Float[Tensor, "m p 2"]
    """Flow of the same points in each motion."""

    def to(self, device: torch.device) -> Batch:
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in self))


def draw_sample(
    sample: dict[str, Any],
    sampling: Sampling,
    image_size: int,
    noise: float,
    rng: np.random.Generator,
    camera: str = "tracks",
) -> dict[str, np.ndarray]:
    """What a clip gives to a `Batch`, by field; the same for the same state of `rng`.

    Args:
        camera: how it is known whether the camera stands still, see `read_moment`.

    Raises:
        SampleError: the clip cannot be used.
    """
    start, skips = draw_moment(sample, sampling, rng)
    moment = read_moment(sample, start, skips, camera)
    height, width = moment.image.shape[:2]
    if height != width:
        raise SampleError(f"sample {moment.key!r}: {width} x {height} pixels: must be square")
    if sampling.least_crop < 1:
        moment = crop(moment, sampling.least_crop, rng)
    image = resized(moment.image, image_size)
    if sampling.augment:
        image = photograph(image, rng)
        if rng.random() < 0.5:
            image, moment = image[:, ::-1], mirror(moment)
    pairs = rng.choice(
        len(moment.points), sampling.pairs, replace=len(moment.points) < sampling.pairs
    )
    draw = draw_as_published if sampling.published else draw_motion
    motions = [draw(moment, row, sampling, noise, rng) for row in range(len(skips))]
    unknown = np.full(len(moment.points), UNKNOWN_BODY, np.int32)
    bodies = unknown if moment.bodies is None else moment.bodies
    return {
        "images": np.ascontiguousarray(image.transpose(2, 0, 1)),
        "camera_static": moment.camera_static,
        "pair_pos": moment.points[pairs],
        "pair_bodies": bodies[pairs],
        "pair_flow": moment.flows[:, pairs],
        **{name: np.stack([motion[name] for motion in motions]) for name in motions[0]},
    }


def draw_moment(
    sample: dict[str, Any], sampling: Sampling, rng: np.random.Generator
) -> tuple[int, list[int]]:
    """A frame to start from, and for each motion how many frames on its target is."""
    inside = usable(*parse_tracks(sample))
    fewest = FEWEST_TRACKS
    if sampling.published:
        fewest = sampling.pokes + sampling.queries
    starts = {skip: start_frames(inside, skip, fewest) for skip in sampling.skips}
    every = np.unique(np.concatenate(list(starts.values())))
    if not len(every):
        raise SampleError(
            f"sample {sample['__key__']!r}: of its {len(inside)} frames none has {fewest} "
            f"visible tracks and a target {_listed(sampling.skips)} frames on"
        )
    start = int(rng.choice(every))
    possible = [skip for skip in sampling.skips if start in starts[skip]]
    return start, rng.choice(possible, sampling.motions).tolist()


def draw_as_published(
    moment: Moment, row: int, sampling: Sampling, noise: float, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """As `draw_motion`, in the published code's way: tracks count alike wherever they stand, and
    also where they are hidden at the motion's end; a query may be one of the pokes."""
    order = rng.permutation(len(moment.points))
    if len(order) < sampling.pokes + sampling.queries:  # after a crop
        raise SampleError(
            f"sample {moment.key!r}: {len(order)} tracks are fewer than {sampling.pokes} pokes and "
            f"{sampling.queries} queries"
        )
    prefixes = np.arange(sampling.pokes)
    first = rng.integers(0, len(order) - sampling.queries - prefixes)
    queries = order[first[:, None] + np.arange(sampling.queries)]
    weights = np.ones(queries.shape, np.float32)
    pokes = order[: sampling.pokes]
    return _motion(moment.points, moment.flows[row], pokes, queries, weights, noise, rng)


def draw_motion(
    moment: Moment, row: int, sampling: Sampling, noise: float, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Pokes and queries of one of the moment's motions, as the fields of ``Batch`` without ``m``.

    Tracks that were estimated are trusted only while they are seen; exact ones go on behind things.
    """
    flow = moment.flows[row]
    trusted = moment.seen[row] if moment.bodies is None else np.ones(len(flow), bool)
    if not trusted.any():
        raise SampleError(f"sample {moment.key!r}: no track is visible at both ends of a motion")
    chosen = np.flatnonzero(trusted)
    points, flow = moment.points[chosen], flow[chosen]
    bodies = None if moment.bodies is None else moment.bodies[chosen]
    evenly = evening_weights(points).astype(float)
    evenly /= evenly.sum()
    moving = np.arange(0)
    if sampling.any_poke < 1:
        moving = np.flatnonzero(moves(points, flow, bodies))
    pokes = choose_pokes(moving, bodies, evenly, sampling, rng)
    queries, weights = choose_queries(bodies, evenly, sampling, rng)
    return _motion(points, flow, pokes, queries, weights, noise, rng)


def _motion(
    points: Float32[np.ndarray, "n 2"],
    flow: Float32[np.ndarray, "n 2"],
    pokes: Int[np.ndarray, "L"],
    queries: Int[np.ndarray, "L q"],
    weights: Float32[np.ndarray, "L q"],
    noise: float,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    disturbance = rng.standard_normal((*queries.shape, 2), np.float32) * np.float32(noise)
    return {
        "poke_pos": points[pokes],
        "poke_flow": flow[pokes],
        "query_pos": points[queries],
        "query_flow": flow[queries],
        "query_noise": disturbance,
        "query_weight": weights,
    }


def choose_pokes(
    moving: Int[np.ndarray, "k"],
    bodies: Int[np.ndarray, "n"] | None,
    evenly: Float[np.ndarray, "n"],
    sampling: Sampling,
    rng: np.random.Generator,
) -> Int[np.ndarray, "L"]:
    """Indices of a motion's pokes; where nothing moves, all of them are anywhere."""
    pokes = rng.choice(len(evenly), sampling.pokes, p=evenly)
    if len(moving):
        if bodies is not None and rng.random() < sampling.one_body:
            moving = of_one_body(moving, bodies, rng)
        for place in np.flatnonzero(rng.random(sampling.pokes) >= sampling.any_poke):
            pokes[place] = choose_poke(moving, bodies, rng)
    return pokes


def choose_poke(
    moving: Int[np.ndarray, "k"], bodies: Int[np.ndarray, "n"] | None, rng: np.random.Generator
) -> int:
    """One of the moving points, every moving body as likely as another."""
    if bodies is not None:
        moving = of_one_body(moving, bodies, rng)
    return int(rng.choice(moving))


def of_one_body(
    points: Int[np.ndarray, "k"], bodies: Int[np.ndarray, "n"], rng: np.random.Generator
) -> Int[np.ndarray, "j"]:
    """Those of the points that lie on one of their bodies, each as likely as another."""
    return points[bodies[points] == rng.choice(np.unique(bodies[points]))]


def choose_queries(
    bodies: Int[np.ndarray, "n"] | None,
    evenly: Float[np.ndarray, "n"],
    sampling: Sampling,
    rng: np.random.Generator,
) -> tuple[Int[np.ndarray, "L n"], Float32[np.ndarray, "L n"]]:
    """Indices [L, n] of a motion's queries and their weights."""
    shape = (sampling.pokes, sampling.queries)
    queries, weights = rng.choice(len(evenly), shape, p=evenly), np.ones(shape, np.float32)
    on_bodies = np.arange(0) if bodies is None else np.flatnonzero(bodies)
    if len(on_bodies):
        take_body = rng.random(shape) < sampling.body_share
        queries[take_body] = rng.choice(on_bodies, take_body.sum())
        weights[take_body] = sampling.body_weight
    return queries, weights


def _listed(skips: Sequence[int]) -> str:
    return " or ".join(map(str, skips))
