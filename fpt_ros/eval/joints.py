# SPDX-License-Identifier: Apache-2.0
"""`fpt-eval --joints`: how well joints are found in fresh simulated scenes whose joints are known.

From the exact motion of 60 points with noise, from pokes alone, and from pictures before and after
a push, beside simpler ways. Nothing was tuned on these scenes: they are those of `--seed`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

import fpt_ros.simulation  # noqa: F401  chooses how MuJoCo draws, before it is imported
from fpt_ros.command_line import CommandParser
from fpt_ros.eval.joint_answers import Answer, naive, of_joints, perspective, translation
from fpt_ros.eval.joint_tables import tables
from fpt_ros.eval.known_joints import SIZE, KnownJoint
from fpt_ros.geometry import NoJoint, fit_joints, observe, observe_joints
from fpt_ros.simulation.joint_scenes import JointScene, joint_scenes, noisy_depth

if TYPE_CHECKING:
    from jaxtyping import Float

WAYS = (0.01, 0.02, 0.04)
"""Metres that the part's visible points go, on average."""
NOISES = (0.5, 1.0, 2.0, 4.0)
POKES = ((1, 0.0), (2, 0.0), (4, 0.0), (4, 3.0))
"""How many, and how far off, pixels."""
FELT = 2.0
"""Pixels of error of where the hand says that a poked point went."""
POINTS = 60
GROUPS = 4
"""Known and unseen mechanisms, square and askew: a quarter of the scenes each."""


def main(arguments: list[str]) -> None:
    """As the command line says."""
    parser = CommandParser(prog="fpt-eval --joints", description=__doc__)
    parser.add_argument("--scenes", type=int, default=80, help="half of them askew")
    parser.add_argument("--seed", type=int, default=0, help="other seeds are other scenes")
    parser.add_argument("--out", type=Path, required=True, help="folder for joints.json and .md")
    options = parser.parse_args([one for one in arguments if one != "--joints"])
    if options.scenes < GROUPS:
        parser.error(f"--scenes is {options.scenes}: must be at least {GROUPS}")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        answers = run(options.scenes, options.seed)
        records = [answer.as_json() for answer in answers]
        (options.out / "joints.json").write_text(json.dumps(records, indent=1) + "\n")
        (options.out / "joints.md").write_text(tables(answers) + "\n")
    except (ValueError, OSError) as error:
        sys.exit(f"fpt-eval --joints: {error}")
    print(tables(answers))


def run(count: int, seed: int) -> list[Answer]:
    """All answers in all scenes."""
    answers: list[Answer] = []
    for number, scene in enumerate(tqdm(scenes(count, seed), "judging", count, unit="scene")):
        rng = np.random.default_rng([seed, number])
        known = KnownJoint(scene, number, rng)
        answers += [*exact_flow(known), *pokes(known), *observed(known)]
    return answers


def scenes(count: int, seed: int) -> Iterator[JointScene]:
    """A quarter each of known and unseen mechanisms, square and askew."""
    for group in range(GROUPS):
        some = joint_scenes(seed, SIZE, WAYS, unseen=group % 2 == 1, tilted=group >= 2)
        yield from islice(some, len(range(group, count, GROUPS)))


def exact_flow(known: KnownJoint) -> Iterator[Answer]:
    """Points of the part, their exact motion with noise, and exact depth before it."""
    way = WAYS[-1]
    before = known.some(POINTS)
    after = before + known.flow(before, way)
    for noise in NOISES:
        seen = after + known.rng.normal(0, noise, after.shape)
        yield from _all_ways(known, f"flow {noise:g} px", way, before, seen, known.depth, None)


def pokes(known: KnownJoint) -> Iterator[Answer]:
    """Pokes of the part, the part's true mask, and exact depth."""
    way, scene = WAYS[-1], known.scene
    for count, noise in POKES:
        places = known.some(count)
        shifts = known.flow(places, way) + known.rng.normal(0, max(noise, 1e-9), (count, 2))
        pokes = np.hstack([places, shifts])
        name = f"{count} poke{'s' * (count > 1)}" + f" {noise:g} px off" * (noise > 0)
        try:
            found = fit_joints(known.camera, known.depth, pokes, scene.mask, poke_spread=noise)
        except NoJoint as refused:
            found = list(refused.joints)
        yield of_joints(known.about | {"asked": name, "way": "joint"}, known, way, found)


def observed(known: KnownJoint) -> Iterator[Answer]:
    """Pictures before and after, followed by the built-in tracker; exact and noisy depth; where a
    poked point went is known to FELT, or only its place before."""
    images = known.scene.before.image
    for way in WAYS:
        shot, _ = known.scene.after[way]
        for noisy in (False, True):
            before, after = known.depth, shot.depth
            if noisy:
                before, after = (noisy_depth(one, known.rng) for one in (before, after))
            name = f"seen {100 * way:g} cm, {'noisy' if noisy else 'exact'} depth"
            place = known.some(1)
            felt = known.flow(place, way) + known.rng.normal(0, FELT, (1, 2))
            pictures = images, shot.image, before, after
            for shift in (felt, 0 * felt) if noisy else (felt,):
                seen = observe(known.camera, *pictures, np.hstack([place, shift]))
                at = seen.points[seen.moved], (seen.points + seen.shifts)[seen.moved]
                asked = name if shift is felt else f"{name}, poke not felt"
                about = known.about | {"asked": asked, "way": "joint", "followed": len(at[0])}
                yield of_joints(about, known, way, seen.joints)
            yield from _simple_ways(known, name, way, *at, before)


def _all_ways(
    known: KnownJoint,
    name: str,
    way: float,
    before: Float[np.ndarray, "n 2"],
    after: Float[np.ndarray, "n 2"],
    depth: Float[np.ndarray, "h w"],
    later: Float[np.ndarray, "h w"] | None,
) -> Iterator[Answer]:
    try:
        found = observe_joints(known.camera, before, after, depth, later)
    except NoJoint:
        found = []
    yield of_joints(known.about | {"asked": name, "way": "joint"}, known, way, found)
    yield from _simple_ways(known, name, way, before, after, depth)


def _simple_ways(
    known: KnownJoint,
    name: str,
    way: float,
    before: Float[np.ndarray, "n 2"],
    after: Float[np.ndarray, "n 2"],
    depth: Float[np.ndarray, "h w"],
) -> Iterator[Answer]:
    """What one would try first, on the same points."""
    for other in (naive, translation, perspective):
        about = known.about | {"asked": name, "way": other.__name__}
        yield other(about, known, way, before, after, depth)
