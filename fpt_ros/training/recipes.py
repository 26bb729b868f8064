# SPDX-License-Identifier: Apache-2.0
"""The settings of a training, all in one place, and the two recipes that set them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from fpt_ros.data import DEFAULT_SKIP
from fpt_ros.model import ModelConfig, SmallModelConfig
from fpt_ros.model.small.encoder import STAGES

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def check(settings: DataclassInstance, name: str, least: float, most: float) -> None:
    """ValueError, naming the field, where its value is not from `least` to `most`."""
    value = getattr(settings, name)
    kind = {f.name: f.type for f in fields(settings)}[name]
    whole = kind != "int" or isinstance(value, int)
    if not whole or not math.isfinite(value) or not least <= value <= most:
        number = "an integer" if kind == "int" else "a number"
        raise ValueError(f"{name} is {value}: must be {number} from {least:g} to {most:g}")


@dataclass(frozen=True)
class Sampling:
    """What is drawn for a step, and how. Defaults are the paper's."""

    images: int = 32
    """Pictures a step and process."""
    motions: int = 1
    """Motions of each picture, to targets of their own; they share its features."""
    pokes: int = 128
    """Pokes of a motion: its queries see the first 0, 1 … pokes - 1 of them."""
    queries: int = 15
    """Query points for each number of pokes seen."""
    skips: tuple[int, ...] = (DEFAULT_SKIP,)
    """Frames from a picture to its target, one drawn for each motion; negative: back in time."""
    published: bool = True
    """Draw pokes and queries as the published code does: of the tracks seen in the picture, in any
    order, the first are the pokes; each number of pokes has the queries that follow one place in
    that order. Settings of pokes and bodies do not count then. Otherwise as these say, and even
    over the picture."""
    any_poke: float = 1.0
    """Share of the pokes anywhere on the picture; the others are on what moves."""
    one_body: float = 0.0
    """Share of the motions whose pokes on what moves are all on one body, as those of one push
    are, where bodies are known; in the others each may be on another one."""
    body_share: float = 0.0
    """Share of the queries on bodies that can move, where bodies are known; the others are even
    over the picture."""
    body_weight: float = 1.0
    """Weight of those queries. At 1 they inflate the model's belief that things move."""
    pairs: int = 96
    """Points of each picture that the pair loss compares with each other, and that the mode loss
    is taken of."""
    augment: bool = False
    """Mirror pictures, change their colours, blur them, add noise and JPEG's artefacts."""
    least_crop: float = 1.0
    """Pictures are cropped to a random square, of at least this share of the side."""

    def __post_init__(self) -> None:
        for name in ("images", "motions", "pokes", "queries", "pairs"):
            check(self, name, 1, math.inf)
        for name in ("any_poke", "one_body", "body_share"):
            check(self, name, 0, 1)
        check(self, "body_weight", 0, math.inf)
        check(self, "least_crop", 0.2, 1)
        if not self.skips or 0 in self.skips:
            raise ValueError(f"skips is {self.skips}: must be one or more numbers other than 0")


@dataclass(frozen=True)
class Recipe:
    """All settings of a training that its result depends on. Defaults train the base model as
    published (arXiv 2510.12777)."""

    steps: int = 1_000_000
    """Length of the training; the schedule follows from it."""
    learning_rate: float = 5e-5
    """At its peak."""
    final_rate: float = 1e-8
    """What the learning rate falls to, along a cosine."""
    warm_up: int = 100_000
    """Steps in which the learning rate rises to its peak, in a straight line."""
    weight_decay: float = 0.01
    """AdamW's."""
    beta2: float = 0.99
    """AdamW's second one; the first is 0.9."""
    trunk_share: float = 1.0
    """The pretrained part of the encoder learns with this share of the learning rate."""
    freeze_encoder: bool = False
    """Train the transformer alone."""
    frozen_stages: int = 0
    """First stages of the small encoder's trunk that are not trained, and its stem with them."""
    clip: float = 1.0
    """Longest gradient."""
    clip_by_group: bool = False
    """Clip the trunk, the rest of the encoder and the transformer each by itself: the
    transformer's steep gradients must not silence the encoder's."""
    ema: float = 0.9999
    """Decay of the averaged weights, which are the ones to use."""
    bfloat16: bool = True
    """Autocast to bfloat16; on a CPU in matrix products alone, and only if it is faster at them."""
    pair_weight: float = 0.0
    """Weight of the pair loss, which the small encoder alone has."""
    mode_weight: float = 0.0
    """Weight of the mode loss, which a model with modes alone has."""
    pair_steps: int = 0
    """First steps, with the pair loss and the mode loss alone."""
    beta: float = 0.0
    """Each query's log-likelihood counts as much as its predicted standard deviation to this power,
    so that points that surely stay do not drown those that nobody knows yet. 0: all count alike."""
    noise: float = 0.0
    """Standard deviation added to the targets: exact zeros make the likelihood degenerate."""
    first_noise: float = 0.0
    """The same at first; it falls over most of the run. Points that stay soon get so narrow a
    distribution that their noise drowns what moving ones teach."""
    half: bool = False
    """Write model.safetensors in half precision: half the size, the same figures."""
    seed: int = 0
    """Of everything that is random."""
    sampling: Sampling = field(default_factory=Sampling)
    model: ModelConfig = field(default_factory=ModelConfig)

    def __post_init__(self) -> None:
        for name in ("steps", "warm_up"):
            check(self, name, 1, math.inf)
        for name in ("learning_rate", "clip"):
            check(self, name, math.ulp(0.0), math.inf)
        for name in ("final_rate", "weight_decay", "trunk_share"):
            check(self, name, 0, math.inf)
        check(self, "frozen_stages", 0, len(STAGES))
        for name in ("pair_weight", "mode_weight", "pair_steps"):
            check(self, name, 0, math.inf)
        for name in ("beta", "beta2", "ema"):
            check(self, name, 0, 1)
        check(self, "noise", 0, math.inf)
        check(self, "first_noise", self.noise, math.inf if self.noise else 0)

    def noise_at(self, step: int) -> float:
        """Standard deviation added to the targets in a step."""
        if not self.noise:
            return 0.0
        early = max(0.0, 1 - step / self.steps / 0.8)
        return self.noise * (self.first_noise / self.noise) ** early

    def rate_at(self, step: int, share: float = 1.0, start: int = 0) -> float:
        """The learning rate in a step: warm-up from `start` on, and a cosine down to the end."""
        peak = self.learning_rate * share
        warmth = min(1.0, max(0, step - start + 1) / self.warm_up)
        after = min(1.0, max(0, step - self.warm_up) / max(1, self.steps - self.warm_up))
        final = min(self.final_rate, peak)
        return warmth * (final + (peak - final) * 0.5 * (1 + math.cos(math.pi * after)))


RECIPES = {
    "base": Recipe(),
    "small": Recipe(
        steps=20_000,
        learning_rate=1e-3,
        final_rate=0.0,
        warm_up=150,
        weight_decay=0.02,
        trunk_share=0.25,
        clip_by_group=True,
        ema=0.999,
        pair_weight=2.0,
        mode_weight=3.0,
        pair_steps=300,
        beta=0.7,
        noise=0.002,
        first_noise=0.015,
        half=True,
        sampling=Sampling(
            images=8,
            motions=3,
            pokes=5,
            queries=12,
            skips=(1, 2, 3, -1, -2, -3),
            published=False,
            any_poke=0.15,
            one_body=0.5,
            body_share=0.5,
            body_weight=0.6,
            pairs=192,
            augment=True,
            least_crop=0.6,
        ),
        model=SmallModelConfig(license="Apache-2.0"),
    ),
}


def differences(old: dict, new: dict, name: str = "") -> list[str]:
    """Settings that both of two (nested) dicts hold with different values, in words."""
    found = []
    for key in old.keys() & new.keys():
        a, b = old[key], new[key]
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b)
        elif a != b and list(_listed(a)) != list(_listed(b)):
            found.append(f"{name}{key} was {a} and is {b}")
    return sorted(found)


def _listed(value: object) -> list:
    return list(value) if isinstance(value, tuple | list) else [value]
