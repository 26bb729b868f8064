"""Draws what one training step needs from scenes: pictures, pokes, queries, pairs of points."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import torch

from fpt_ros.training.scenes import MOVING, Scene, to_model

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Int
    from torch import Tensor


@dataclass(frozen=True)
class Sampling:
    """How much is drawn for a step, and how."""

    images: int = 8
    motions: int = 3
    """Futures of each picture; they share its features."""
    pokes: int = 5
    """Pokes of a motion: its queries see the first 0, 1 … pokes - 1 of them."""
    queries: int = 12
    """Query points for each number of pokes seen."""
    pairs: int = 96
    """Points of each picture that the pair loss compares with each other."""
    static_poke: float = 0.15
    """Share of the pokes on any point of the picture; most of these stay where they are."""
    body_share: float = 0.5
    """Share of the queries on bodies that can move; the others are uniform over the picture."""
    body_weight: float = 0.6
    """Weight of those queries. At 1 they would inflate the model's belief that things move."""
    noise: float = 0.002
    """Standard deviation added to the targets: exact zeros make the likelihood degenerate."""
    augment: bool = True


@dataclass(frozen=True)
class Batch:
    """``m = b * motions`` motions, those of one picture adjacent; units of the model."""

    images: Float[Tensor, "b 3 s s"]
    poke_pos: Float[Tensor, "m L 2"]
    poke_flow: Float[Tensor, "m L 2"]
    query_pos: Float[Tensor, "m L n 2"]
    query_flow: Float[Tensor, "m L n 2"]
    query_weight: Float[Tensor, "m L n"]
    pair_pos: Float[Tensor, "b p 2"]
    pair_bodies: Int[Tensor, "b p"]


def choose_poke(
    flow: Float32[np.ndarray, "n 2"],
    bodies: Int[np.ndarray, "n"],
    rng: np.random.Generator,
) -> int:
    """Index of a moving point, every moving body as likely as another; any point if none moves."""
    moving = np.flatnonzero(np.linalg.norm(flow, axis=-1) > MOVING)
    if not len(moving):
        return int(rng.integers(len(flow)))
    body = rng.choice(np.unique(bodies[moving]))
    return int(rng.choice(moving[bodies[moving] == body]))


def choose_pokes(
    scene: Scene, future: int, sampling: Sampling, rng: np.random.Generator
) -> Int[np.ndarray, "L"]:
    """Indices [L] of a motion's pokes."""
    chosen = [
        rng.integers(scene.uniform)
        if rng.random() < sampling.static_poke
        else choose_poke(scene.flows[future], scene.bodies, rng)
        for _ in range(sampling.pokes)
    ]
    return np.array(chosen)


def choose_queries(
    scene: Scene, sampling: Sampling, rng: np.random.Generator
) -> tuple[Int[np.ndarray, "L n"], Float32[np.ndarray, "L n"]]:
    """Indices [L, n] of a motion's queries and their weights."""
    shape = (sampling.pokes, sampling.queries)
    uniform = rng.integers(scene.uniform, size=shape)
    if scene.uniform == len(scene.points):
        return uniform, np.ones(shape, np.float32)
    on_body = rng.integers(scene.uniform, len(scene.points), size=shape)
    take_body = rng.random(shape) < sampling.body_share
    weights = np.where(take_body, sampling.body_weight, 1.0).astype(np.float32)
    return np.where(take_body, on_body, uniform), weights


def draw_motion(
    scene: Scene, sampling: Sampling, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """One future with its pokes and queries, as the fields of ``Batch`` without ``m``."""
    future = int(rng.integers(len(scene.flows)))
    flow = scene.flows[future]
    pokes = choose_pokes(scene, future, sampling, rng)
    queries, weights = choose_queries(scene, sampling, rng)
    noise = rng.normal(0.0, sampling.noise, (*queries.shape, 2)).astype(np.float32)
    return {
        "poke_pos": scene.points[pokes],
        "poke_flow": flow[pokes],
        "query_pos": scene.points[queries],
        "query_flow": flow[queries] + noise,
        "query_weight": weights,
    }


def mirror(scene: Scene) -> Scene:
    """The scene as seen in a mirror: left and right exchanged, flows with it."""
    one, sign = np.array([1, 0], np.float32), np.array([-1, 1], np.float32)
    return Scene(
        scene.image[:, ::-1],
        one + sign * scene.points,
        sign * scene.flows,
        scene.bodies,
        scene.uniform,
    )


def jitter_colours(
    images: Float32[np.ndarray, "b 3 s s"], rng: np.random.Generator
) -> Float32[np.ndarray, "b 3 s s"]:
    """Random contrast, brightness and tint for each picture, cut off at [-1, 1]."""
    count = len(images)
    gain = rng.uniform(0.7, 1.3, (count, 1, 1, 1)) * rng.uniform(0.85, 1.15, (count, 3, 1, 1))
    offset = rng.uniform(-0.2, 0.2, (count, 1, 1, 1))
    return np.clip(images * gain.astype(np.float32) + offset.astype(np.float32), -1, 1)


def draw_batch(scenes: list[Scene], sampling: Sampling, rng: np.random.Generator) -> Batch:
    """A batch from random scenes; the same ``rng`` state gives the same batch."""
    chosen = [scenes[i] for i in rng.integers(len(scenes), size=sampling.images)]
    if sampling.augment:
        chosen = [mirror(scene) if rng.random() < 0.5 else scene for scene in chosen]
    images = to_model([scene.image for scene in chosen])
    if sampling.augment:
        images = jitter_colours(images, rng)
    motions = [draw_motion(s, sampling, rng) for s in chosen for _ in range(sampling.motions)]
    pairs = [rng.choice(len(s.points), sampling.pairs, replace=False) for s in chosen]
    arrays = {
        "images": images,
        "pair_pos": np.stack([s.points[p] for s, p in zip(chosen, pairs, strict=True)]),
        "pair_bodies": np.stack([s.bodies[p] for s, p in zip(chosen, pairs, strict=True)]),
        **{name: np.stack([motion[name] for motion in motions]) for name in motions[0]},
    }
    return Batch(**{f.name: torch.from_numpy(arrays[f.name]) for f in fields(Batch)})
