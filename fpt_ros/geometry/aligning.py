# SPDX-License-Identifier: Apache-2.0
"""Motions that explain all pixels that changed between two images with depth: dense alignment.

A pixel that changed shows the moved part, or what the part hides or lays bare. So a motion carries
all that changed in the first image on to the second, and back, and colours and depth are compared
there; what fits nowhere costs a bounded amount (S. Geman and D. McClure, 1987). Outlines count as
well as texture: parts of one colour, which no tracker can follow, are found, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fpt_ros.geometry import fitting
from fpt_ros.geometry.changes import changed, depth_layers, layers, smooth, view_of
from fpt_ros.geometry.comparing import compare
from fpt_ros.geometry.depth import depth_at
from fpt_ros.geometry.evidence import Evidence
from fpt_ros.geometry.hypotheses import Hypothesis
from fpt_ros.geometry.joint import JointKind
from fpt_ros.geometry.motions import (
    Free,
    Hinge,
    Motion,
    Slide,
    hinge_of,
    inverse,
    inverse_slope,
    rotation_vector,
    rotations,
)
from fpt_ros.geometry.priors import weak
from fpt_ros.geometry.starts import (
    edge_turns,
    hinge_starts,
    plane_of,
    slide_starts,
    turn_of_planes,
)

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

    from fpt_ros.geometry.camera import Camera
    from fpt_ros.geometry.joint import Joint

PIXELS = 500
"""Of each image that are compared."""
FEWEST = 40
ROUND = 7
"""Pixels, side of the square by which what changed is widened: edges have two sides."""
BLURS, EVERY = (7.0, 3.0, 1.2), (2, 2, 1)
"""Pixels, from coarse to fine; and every how many pixels are compared there."""
PRICES = (4.0, 2.0, 1.0)
"""Of each level, as a multiple: far minima attract, too."""
COUNTS = 12.0
"""As how many observations all pixels count: their errors are alike (as in seeing.py)."""
POKED = 3.0
"""Pixels, spread of what is known of a poke."""
KEPT = 24
"""Of the starts, at each of the coarser levels."""
EXPLAINED = 0.9
"""A motion leaves less than this share of what standing still leaves."""


class Alignment:
    """What changed between two images with depth, to be explained by motions of one part."""

    def __init__(
        self,
        camera: Camera,
        images: tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w 3"]],
        depths: tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]],
        pokes: Float[np.ndarray, "p 4"] | None = None,
    ) -> None:
        """Pokes [px] are points of the part and how they moved; what did not is left out."""
        self.camera = camera
        even = [smooth(depth) for depth in depths]
        wide = cv2.dilate(changed(images, even).astype(np.uint8), np.ones((ROUND, ROUND)))
        rng = np.random.default_rng(0)
        picks = []
        for depth in even:
            rows, columns = np.nonzero((wide > 0) & np.isfinite(depth))
            some = rng.permutation(len(rows))[:PIXELS]
            picks.append(np.column_stack([columns[some], rows[some]]))
        self.count = min(map(len, picks))
        """Pixels, at most PIXELS; of fewer than FEWEST nothing is found."""
        if self.count < FEWEST:
            return
        depth = even[0][picks[0][:, 1], picks[0][:, 0]]
        points = camera.unproject(picks[0].astype(float), depth)
        self.centre = np.median(points, axis=0)
        self.points = points - self.centre
        self.size = 2 * float(np.median(np.linalg.norm(self.points, axis=1)))
        self.unit = float(self.centre[2] / camera.fx)
        """Metres that are a pixel at the part."""
        self.pokes = self._poked(even[0], np.empty((0, 4)) if pokes is None else np.asarray(pokes))
        deep = [depth_layers(one) for one in even]
        self.levels = []
        for blur, every in zip(BLURS, EVERY, strict=True):
            both = [layers(*one, blur) for one in zip(images, deep, strict=True)]
            self.levels.append([
                view_of(camera, picks[i][::every], self.centre, both[i], both[1 - i])
                for i in (0, 1)
            ])  # fmt: skip

    def costs(
        self, motion: Motion, parameters: Float[np.ndarray, "h k"], level: int, thin: bool = False
    ) -> Float[np.ndarray, " h"]:
        """Half the sum of squares, of COUNTS pixels, of pokes, and of what is known beforehand."""
        pokes = self.pokes.blurred(BLURS[level])
        total = fitting.costs(motion, parameters, pokes, weak(motion))
        ways = parameters, inverse(motion, parameters)
        for view, way in zip(self.levels[level], ways, strict=True):
            some = view.thin() if thin else view
            places = motion.moved(way, some.points) + self.centre
            residual, price, _ = compare(self.camera, some, places, BLURS[level], sloped=False)
            square, price = (residual**2).sum(-1), price * PRICES[level]
            total += 0.25 * COUNTS * (square / (1 + square / price)).mean(1)
        return total

    def minimise(
        self, motion: Motion, parameters: Float[np.ndarray, "h k"], level: int, steps: int
    ) -> tuple[Float[np.ndarray, "h k"], Float[np.ndarray, " h"], Float[np.ndarray, "h k k"]]:
        """Motions, costs and curvatures after damped Gauss-Newton steps, best first."""
        damping = np.full(len(parameters), 1e-2)
        cost, gradient, hessian = self._slopes(motion, parameters, level)
        for _ in range(steps):
            diagonal = np.einsum("hii->hi", hessian)
            damped = hessian + np.eye(motion.count) * (damping[:, None] * diagonal)[:, None]
            tried = parameters - np.linalg.solve(damped, gradient[..., None])[..., 0]
            found = self._slopes(motion, tried, level)
            better = found[0] < cost
            parameters = np.where(better[:, None], tried, parameters)
            cost = np.where(better, found[0], cost)
            gradient = np.where(better[:, None], found[1], gradient)
            hessian = np.where(better[:, None, None], found[2], hessian)
            damping = np.where(better, damping * 0.3, damping * 6)
        order = np.argsort(cost)
        return parameters[order], cost[order], hessian[order]

    def hypotheses(
        self, kinds: Sequence[JointKind], guesses: Sequence[Joint] = ()
    ) -> list[Hypothesis]:
        """The best slide and the best hinge, of the kinds wanted; empty where none explains what
        changed.

        Args:
            guesses: joints from which to start, too.
        """
        if self.count < FEWEST:
            return []
        known = np.array([self._about_centre(joint) for joint in guesses]).reshape(-1, 6)
        slides, finest = slide_starts(self.unit), len(BLURS) - 1
        still = self.costs(Slide(), np.zeros((1, 3)), finest)[0]
        found = []
        for kind in kinds:
            if kind == JointKind.PRISMATIC:
                motion: Motion = Slide()
                starts = self._refined(motion, slides, known[:, 3:], 6)
            elif kind == JointKind.REVOLUTE:
                motion, starts = Hinge(), self._hinge_starts(slides, known)
            else:
                continue
            best, cost, curvature = self.minimise(motion, starts, finest, 16)
            bic = float(2 * cost[0] + motion.free * np.log(COUNTS))
            if cost[0] < EXPLAINED * still:
                spread = np.linalg.inv(curvature[0])
                found.append(Hypothesis(kind, motion, best[0], bic, spread, False))
        return found

    def _refined(
        self,
        motion: Motion,
        starts: Float[np.ndarray, "s k"],
        known: Float[np.ndarray, "g k"],
        count: int,
    ) -> Float[np.ndarray, "c k"]:
        """The best of the starts, and what is known, after steps at the coarser levels.

        Fine texture is nothing where it is blurred, so half of them skip the coarsest level.
        """
        coarse, finer = (self._best(motion, starts, level, KEPT) for level in (0, 1))
        coarse = self.minimise(motion, np.concatenate([coarse, known]), 0, 8)[0][:KEPT]
        starts = np.concatenate([coarse, finer, known])
        return self.minimise(motion, starts, 1, 8)[0][:count]

    def _best(
        self, motion: Motion, starts: Float[np.ndarray, "s k"], level: int, count: int
    ) -> Float[np.ndarray, "c k"]:
        return starts[np.argsort(self.costs(motion, starts, level, thin=True))[:count]]

    def _hinge_starts(
        self, slides: Float[np.ndarray, "h 3"], known: Float[np.ndarray, "g 6"]
    ) -> Float[np.ndarray, "s 6"]:
        """Found as free motions first, whose parameters are of one size."""
        slides = self._best(Slide(), slides, 0, 150)
        first, last = (view.points for view in self.levels[0])
        planes = [plane_of(some, self.centre, self.size) for some in (first, last)]
        turns = np.concatenate([
            hinge_starts(slides, self.unit, self.size),
            edge_turns(self.points, self.unit),
            turn_of_planes(*planes),
        ])  # fmt: skip
        shifts = turns[:, 3:] - (rotations(turns[:, :3]) @ turns[:, 3:, None])[..., 0]
        free = np.hstack([turns[:, :3], shifts])
        free = np.concatenate([free, np.hstack([np.full_like(slides, 1e-3), slides])])
        free = self._refined(Free(), free, known, 10)
        return self.minimise(Hinge(), hinge_of(free), 1, 8)[0][:6]

    def _slopes(
        self, motion: Motion, parameters: Float[np.ndarray, "h k"], level: int
    ) -> tuple[Float[np.ndarray, " h"], Float[np.ndarray, "h k"], Float[np.ndarray, "h k k"]]:
        """Costs, their gradients, and their curvatures as Gauss and Newton have them."""
        pokes = self.pokes.blurred(BLURS[level])
        cost = fitting.costs(motion, parameters, pokes, weak(motion))
        gradient, hessian = fitting.normal_equations(motion, parameters, pokes, weak(motion))
        back = inverse(motion, parameters), inverse_slope(motion, parameters)
        ways = (parameters, None), back
        for view, (way, chain) in zip(self.levels[level], ways, strict=True):
            places = motion.moved(way, view.points) + self.centre
            residual, price, slope = compare(self.camera, view, places, BLURS[level])
            share = 0.5 * COUNTS / len(view.points)
            square, price = (residual**2).sum(-1), price * PRICES[level]
            weight = share / (1 + square / price) ** 2
            jacobian = slope @ motion.jacobian(way, view.points)
            jacobian = jacobian.reshape(len(cost), -1, motion.count)
            weighted = jacobian * np.repeat(weight, 4, axis=1)[..., None]
            down, curve = weighted.mT @ residual.reshape(len(cost), -1, 1), weighted.mT @ jacobian
            if chain is not None:
                down, curve = chain.mT @ down, chain.mT @ curve @ chain
            cost = cost + 0.5 * share * (square / (1 + square / price)).sum(1)
            gradient, hessian = gradient + down[..., 0], hessian + curve
        return cost, gradient, hessian

    def _poked(self, depth: Float[np.ndarray, "h w"], pokes: Float[np.ndarray, "p 4"]) -> Evidence:
        """Pokes that moved, robust: a push may have failed."""
        start = self.camera.unproject(pokes[:, :2], depth_at(depth, pokes[:, :2])) - self.centre
        good = np.isfinite(start).all(1) & (np.linalg.norm(pokes[:, 2:], axis=1) > POKED)
        ends, count = self.camera.straightened(pokes[good, :2] + pokes[good, 2:]), good.sum()
        whiten = np.broadcast_to(np.eye(2) / POKED, (count, 2, 2))
        unknown, ones = np.full(count, np.nan), np.ones(count)
        return Evidence(start[good], ends, whiten, unknown, ones, ones > 0, ones, self.centre,
                        self.camera.straight())  # fmt: skip

    def _about_centre(self, joint: Joint) -> Float[np.ndarray, " 6"]:
        """A joint's motion as a free one."""
        shift = joint.rotation @ self.centre + joint.translation - self.centre
        return np.concatenate([rotation_vector(joint.rotation), shift])
