# SPDX-License-Identifier: Apache-2.0
"""Slides, hinges and free motions that explain evidence: where to start, and how good each is."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.geometry.fitting import BLUR, Fit, costs, fit
from fpt_ros.geometry.joint import JointKind
from fpt_ros.geometry.motions import Free, Hinge, Motion, Slide, hinge_of
from fpt_ros.geometry.priors import along, weak

if TYPE_CHECKING:
    from jaxtyping import Float

    from fpt_ros.geometry.evidence import Evidence
    from fpt_ros.geometry.structure import Structure

ANGLES = np.array([0.25, 0.5, 0.8, 1.2])
SHIFTS = np.array([0.01, 0.03, 0.08, 0.2])
AHEAD = np.array([0.0, 0.04, -0.04])
"""Starts: radians, metres along candidate directions, and metres along the line of sight."""
KEPT = 4
"""Of the starts of one kind."""
NEAR_PIVOT, LEAST_SLACK = 0.12, 0.004
"""An axis passes a candidate point within that share of the part's size, or so many metres."""
FROM_STRUCTURE = 3.5
"""Free parameters of a hinge whose axis is a candidate."""


@dataclasses.dataclass(frozen=True)
class Hypothesis:
    """One motion that explains the evidence."""

    kind: JointKind
    motion: Motion
    parameters: Float[np.ndarray, " k"]
    bic: float
    covariance: Float[np.ndarray, "k k"]
    from_structure: bool

    def shifts(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Of points [m from the part's middle]."""
        return self.motion.moved(self.parameters[None], points)[0] - points


def kinds_wanted(kind: JointKind) -> tuple[JointKind, ...]:
    """Those to fit, by what the caller knows."""
    return (JointKind.PRISMATIC, JointKind.REVOLUTE) if kind == JointKind.UNKNOWN else (kind,)


def plain_hypotheses(
    evidence: Evidence,
    kinds: tuple[JointKind, ...],
    observations: float,
    structure: Structure | None = None,
    handicap: float = 0.0,
) -> list[Hypothesis]:
    """The best of each kind without any axis being more likely than others.

    Args:
        observations: as how many the evidence counts in BIC.
        structure: its candidates are starts for hinges.
        handicap: added to their BIC.
    """
    sideways = _median_shift(evidence)
    slides = sideways + AHEAD[:, None] * np.array([0, 0, 1.0])
    found = []
    free = fit(Free(), _free_starts(slides), evidence, weak(Free()))
    for kind in kinds:
        if kind == JointKind.PRISMATIC:
            fits: Fit = fit(Slide(), slides, evidence, weak(Slide()))
            motion: Motion = Slide()
        elif kind == JointKind.REVOLUTE:
            motion, starts = Hinge(), hinge_of(free.parameters)
            if structure is not None:
                more, _, _ = _hinge_starts(evidence, structure)
                score = costs(motion, more, evidence.blurred(BLUR), weak(motion))
                starts = np.concatenate([starts, more[np.argsort(score)[:KEPT]]])
            fits = fit(motion, starts, evidence, weak(motion))
        else:
            motion, fits = Free(), free
        best = fits.at(int(fits.cost.argmin()))
        found += _named(kind, motion, best, observations, motion.free, handicap, False)
    return found


def structure_hypotheses(
    evidence: Evidence,
    structure: Structure,
    kinds: tuple[JointKind, ...],
    observations: float,
) -> list[Hypothesis]:
    """Slides along and hinges about the part's candidate axes."""
    found = []
    if JointKind.PRISMATIC in kinds:
        motion: Motion = Slide()
        amounts = np.concatenate([SHIFTS, -SHIFTS])
        directions = np.repeat(structure.directions, len(amounts), axis=0)
        starts = directions * np.tile(amounts, len(structure.directions))[:, None]
        score = costs(motion, starts, evidence.blurred(BLUR), weak(motion))
        best = _best_of_each(score, np.arange(len(score)) // len(amounts))
        fits = fit(motion, starts[best], evidence, along(motion, directions[best]))
        found += _named(JointKind.PRISMATIC, motion, fits, observations, motion.free, 0.0, True)
    if JointKind.REVOLUTE in kinds:
        motion = Hinge()
        starts, directions, pivots = _hinge_starts(evidence, structure)
        score = costs(motion, starts, evidence.blurred(BLUR), weak(motion))
        best = np.argsort(score)[:KEPT]
        slack = max(NEAR_PIVOT * structure.size, LEAST_SLACK)
        prior = along(motion, directions[best], pivots[best], slack)
        fits = fit(motion, starts[best], evidence, prior)
        found += _named(JointKind.REVOLUTE, motion, fits, observations, FROM_STRUCTURE, 0.0, True)
    return found


def _named(
    kind: JointKind,
    motion: Motion,
    fits: Fit,
    observations: float,
    free: float,
    handicap: float,
    from_structure: bool,
) -> list[Hypothesis]:
    bic = 2 * fits.cost + free * np.log(observations) + handicap
    covariance = np.linalg.inv(fits.hessian)
    return [
        Hypothesis(kind, motion, fits.parameters[i], float(bic[i]), covariance[i], from_structure)
        for i in range(len(bic))
    ]


def _best_of_each(
    score: Float[np.ndarray, " h"], groups: Float[np.ndarray, " h"]
) -> Float[np.ndarray, " g"]:
    """Index of the lowest score in each group."""
    return np.array([np.flatnonzero(groups == g)[score[groups == g].argmin()]
                     for g in np.unique(groups)])  # fmt: skip


def _hinge_starts(
    evidence: Evidence, structure: Structure
) -> tuple[Float[np.ndarray, "h 6"], Float[np.ndarray, "h 3"], Float[np.ndarray, "h 3"]]:
    """Every candidate direction through every candidate point by every angle; with these."""
    angles = np.concatenate([ANGLES, -ANGLES])
    pivots = structure.pivots - evidence.centre
    d, p, a = np.meshgrid(
        np.arange(len(structure.directions)), np.arange(len(pivots)), angles, indexing="ij"
    )
    directions, places = structure.directions[d.ravel()], pivots[p.ravel()]
    return np.hstack([directions * a.ravel()[:, None], places]), directions, places


def _median_shift(evidence: Evidence) -> Float[np.ndarray, " 3"]:
    """Of the points, were they to stay as far away as they are."""
    depth = evidence.start[:, 2] + evidence.centre[2]
    flow = evidence.pixels - evidence.project(evidence.start[None])[0]
    focal = np.array([evidence.camera.fx, evidence.camera.fy])
    return np.append(np.median(flow * depth[:, None] / focal, axis=0), 0.0)


def _free_starts(slides: Float[np.ndarray, "h 3"]) -> Float[np.ndarray, "h 6"]:
    return np.hstack([np.full_like(slides, 1e-3), slides])
