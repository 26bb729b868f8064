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

from fpt_ros.geometry.changes import View, changed, colours_at, smooth
from fpt_ros.geometry.depth import depth_noise
from fpt_ros.geometry.hypotheses import Hypothesis
from fpt_ros.geometry.joint import JointKind
from fpt_ros.geometry.motions import (
    Free,
    Hinge,
    Motion,
    Slide,
    hinge_of,
    inverse,
    rotation_vector,
    rotations,
)
from fpt_ros.geometry.structure import find_structure

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

    from fpt_ros.geometry.camera import Camera
    from fpt_ros.geometry.joint import Joint

PIXELS = 250
"""Of each image that are compared."""
FEWEST = 40
ROUND = 7
"""Pixels, side of the square by which what changed is widened: edges have two sides."""
SMOOTHED = 0.6
"""Share of the noise of depth that is left when it is smooth, and common."""
BLURS = (7.0, 3.0, 1.2)
"""Pixels, from coarse to fine. The other constants of each level:"""
OUTLIERS = (6.0, 4.0, 3.0)
"""Standard deviations: what differs by much more costs no more."""
STEPS = (2.0, 1.0, 0.5)
"""Pixels, of numeric derivatives."""
COUNTS = 12.0
"""As how many observations all pixels count: their errors are alike (as in seeing.py)."""
WAYS = (5.0, 10.0, 20.0, 40.0)
"""Pixels that are tried."""
ARMS, ANGLES = (0.4, 0.7, 1.2, 2.5), (10.0, 25.0)
"""Hinges that are tried: how far off in sizes of the part; pixels of turns about its middle."""
EXPLAINED = 0.9
"""A motion leaves less than this share of what standing still leaves."""


class Alignment:
    """What changed between two images with depth, to be explained by motions of one part."""

    def __init__(
        self,
        camera: Camera,
        images: tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w 3"]],
        depths: tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]],
    ) -> None:
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
        points = [
            camera.unproject(some.astype(float), depth[some[:, 1], some[:, 0]])
            for some, depth in zip(picks, even, strict=True)
        ]
        self.centre = np.median(points[0], axis=0)
        self.size = 2 * float(np.median(np.linalg.norm(points[0] - self.centre, axis=1)))
        self.unit = float(self.centre[2] / camera.fx)
        """Metres that are a pixel at the part."""
        self.points = points[0] - self.centre
        self.levels = []
        for blur in BLURS:
            soft = [cv2.GaussianBlur(image.astype(np.float32), (0, 0), blur) for image in images]
            self.levels.append([
                View(points[i] - self.centre, *colours_at(soft[i], picks[i]), soft[1 - i],
                      even[1 - i])
                for i in (0, 1)
            ])  # fmt: skip

    def residuals(
        self, motion: Motion, parameters: Float[np.ndarray, "h k"], level: int, thin: bool = False
    ) -> Float[np.ndarray, "h n 4"]:
        """Of colours and depth, in standard deviations, squashed to at most OUTLIERS; both ways."""
        found = []
        ways = parameters, inverse(motion, parameters)
        for view, way in zip(self.levels[level], ways, strict=True):
            some = view.thin() if thin else view
            found.append(self._compare(some, motion.moved(way, some.points), level))
        return np.concatenate(found, axis=1)

    def costs(
        self, motion: Motion, parameters: Float[np.ndarray, "h k"], level: int, thin: bool = False
    ) -> Float[np.ndarray, " h"]:
        """Half the sum of squares, of COUNTS pixels."""
        squares = (self.residuals(motion, parameters, level, thin) ** 2).sum(-1)
        known = ((parameters / motion.scale) ** 2).sum(-1)
        return 0.5 * (COUNTS * squares.mean(1) + known)

    def minimise(
        self, motion: Motion, parameters: Float[np.ndarray, "h k"], level: int, steps: int
    ) -> tuple[Float[np.ndarray, "h k"], Float[np.ndarray, " h"], Float[np.ndarray, "h k k"]]:
        """Motions, costs and curvatures after damped Gauss-Newton steps, best first."""
        damping = np.full(len(parameters), 1e-2)
        for _ in range(steps):
            cost, gradient, hessian = self._slopes(motion, parameters, level)
            diagonal = np.einsum("hii->hi", hessian)
            damped = hessian + np.eye(motion.count) * (damping[:, None] * diagonal)[:, None]
            tried = parameters - np.linalg.solve(damped, gradient[..., None])[..., 0]
            better = self.costs(motion, tried, level) < cost
            parameters = np.where(better[:, None], tried, parameters)
            damping = np.where(better, damping * 0.3, damping * 6)
        cost, _, hessian = self._slopes(motion, parameters, level)
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
        slides, finest = self._slide_starts(), len(BLURS) - 1
        known = np.array([self._about_centre(joint) for joint in guesses]).reshape(-1, 6)
        still = self.costs(Slide(), np.zeros((1, 3)), finest)[0]
        found = []
        for kind in kinds:
            if kind == JointKind.PRISMATIC:
                motion: Motion = Slide()
                starts = np.concatenate([slides[:8], known[:, 3:]])
                starts = self.minimise(motion, starts, 0, 6)[0][:4]
                starts = self.minimise(motion, starts, 1, 6)[0][:2]
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

    def _hinge_starts(
        self, slides: Float[np.ndarray, "h 3"], known: Float[np.ndarray, "g 6"]
    ) -> Float[np.ndarray, "s 6"]:
        """Found as free motions first, whose parameters are of one size."""
        free = np.hstack([np.full((4, 3), 1e-3), slides[:4]])
        free = np.concatenate([self._turn_starts(slides[:150]), free, known])
        free = self.minimise(Free(), free, 0, 6)[0][:6]
        starts = hinge_of(self.minimise(Free(), free, 1, 8)[0][:3])
        return self.minimise(Hinge(), starts, 1, 6)[0]

    def _compare(
        self, view: View, moved: Float[np.ndarray, "h n 3"], level: int
    ) -> Float[np.ndarray, "h n 4"]:
        places = moved + self.centre
        pixels = self.camera.project(places.reshape(-1, 3)).reshape(*places.shape[:2], 2)
        x, y = np.moveaxis(np.nan_to_num(pixels, nan=-1e4).astype(np.float32), -1, 0)
        far = (1e4, 1e4, 1e4)
        seen = cv2.remap(view.image, x, y, cv2.INTER_LINEAR, None, cv2.BORDER_CONSTANT, far)
        deep = cv2.remap(view.depth, x, y, cv2.INTER_NEAREST, None, cv2.BORDER_CONSTANT, np.nan)
        colour = (seen.reshape(*x.shape, 3) - view.colours) / (3**0.5 * view.spread[:, None])
        z = places[..., 2]
        spread = SMOOTHED * depth_noise(z) + 0.5 * BLURS[level] * np.abs(z) / self.camera.fx
        depth = np.nan_to_num((z - deep.reshape(x.shape)) / spread)[..., None]
        most = OUTLIERS[level] ** 2
        colour /= np.sqrt(1 + (colour**2).sum(-1, keepdims=True) / most)
        return np.concatenate([colour, depth / np.sqrt(1 + depth**2 / most)], axis=-1)

    def _slopes(
        self, motion: Motion, parameters: Float[np.ndarray, "h k"], level: int
    ) -> tuple[Float[np.ndarray, " h"], Float[np.ndarray, "h k"], Float[np.ndarray, "h k k"]]:
        """Costs, and their gradients and curvatures from differences over some pixels."""
        count, step = motion.count, STEPS[level] * self.unit
        amounts = np.full_like(parameters, step)
        if not isinstance(motion, Slide):
            amounts[:, :3] = step / self.size
        if isinstance(motion, Hinge):
            angle = np.maximum(np.linalg.norm(parameters[:, :3], axis=1, keepdims=True), 0.05)
            amounts[:, 3:] = np.minimum(step / angle, 0.2 * self.size)
        changes = np.eye(count) * amounts[:, None]
        every = parameters[:, None] + np.concatenate([0 * changes[:, :1], changes, -changes], 1)
        found = self.residuals(motion, every.reshape(-1, count), level)
        found = found.reshape(len(parameters), 2 * count + 1, -1)
        here, pixels = found[:, 0], found.shape[2] // 4
        slope = (found[:, 1 : count + 1] - found[:, count + 1 :]) / (2 * amounts)[..., None]
        share, known = COUNTS / pixels, parameters / motion.scale
        cost = 0.5 * (share * (here**2).sum(-1) + (known**2).sum(-1))
        gradient = share * (slope @ here[..., None])[..., 0] + known / motion.scale
        return cost, gradient, share * slope @ slope.mT + np.diag(motion.scale**-2.0)

    def _about_centre(self, joint: Joint) -> Float[np.ndarray, " 6"]:
        """A joint's motion as a free one."""
        shift = joint.rotation @ self.centre + joint.translation - self.centre
        return np.concatenate([rotation_vector(joint.rotation), shift])

    def _slide_starts(self) -> Float[np.ndarray, "h 3"]:
        """In all directions, best first."""
        lengths = np.array(WAYS) * self.unit
        slides = (sphere(100)[:, None] * lengths[:, None]).reshape(-1, 3)
        return slides[np.argsort(self.costs(Slide(), slides, 0, thin=True))]

    def _turn_starts(self, slides: Float[np.ndarray, "h 3"]) -> Float[np.ndarray, "t 6"]:
        """The best hinges that move the middle like a slide, or not at all, as free motions."""
        rng = np.random.default_rng(0)
        way = np.linalg.norm(slides, axis=1, keepdims=True)
        axes = sphere(60)
        hinges = [np.hstack([axes * a * self.unit / (0.5 * self.size), 0 * axes]) for a in ANGLES]
        for arm in np.repeat(ARMS, 3) * self.size:
            axis = np.cross(slides, rng.normal(size=slides.shape))
            axis /= np.linalg.norm(axis, axis=1, keepdims=True)
            hinges.append(np.hstack([axis * way / arm, arm * np.cross(axis, slides / way)]))
        every = np.concatenate([*hinges, self._edge_turns()])
        best = every[np.argsort(self.costs(Hinge(), every, 0, thin=True))[:12]]
        shifts = best[:, 3:] - (rotations(best[:, :3]) @ best[:, 3:, None])[..., 0]
        return np.hstack([best[:, :3], shifts])

    def _edge_turns(self) -> Float[np.ndarray, "h 6"]:
        """Hinges along the edges and the normal of what changed, through its middle and sides."""
        structure = find_structure(self.points, np.empty((0, 3)))
        if structure is None:
            return np.empty((0, 6))
        amounts = np.concatenate([WAYS, -np.array(WAYS)]) * self.unit / (0.5 * structure.size)
        d, p, a = np.meshgrid(
            np.arange(len(structure.directions)), np.arange(len(structure.pivots)), amounts,
            indexing="ij",
        )  # fmt: skip
        turns = structure.directions[d.ravel()] * a.reshape(-1, 1)
        return np.hstack([turns, structure.pivots[p.ravel()]])


def sphere(count: int) -> Float[np.ndarray, "n 3"]:
    """Directions evenly over the sphere, in a Fibonacci spiral."""
    index = np.arange(count) + 0.5
    z, turn = 1 - 2 * index / count, np.pi * (1 + 5**0.5) * index
    across = np.sqrt(1 - z**2)
    return np.column_stack([across * np.cos(turn), across * np.sin(turn), z])
