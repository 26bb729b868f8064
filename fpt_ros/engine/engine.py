# SPDX-License-Identifier: Apache-2.0
"""The node's work without ROS: questions about kept images in, motions out, in steps."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.engine.depths import Depths
from fpt_ros.engine.errors import ErrorCode, RequestError, invalid
from fpt_ros.engine.frames import NEWEST, Frames
from fpt_ros.engine.motion import Motion, Samples
from fpt_ros.engine.questions import check_length, check_product, check_tolerance
from fpt_ros.images import ImageError
from fpt_ros.inference.view import check_points, check_pokes, grid_points

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float32

    from fpt_ros.engine.depth_image import Depth
    from fpt_ros.engine.frames import Frame, Stamp
    from fpt_ros.engine.settings import Settings
    from fpt_ros.engine.statistics import Statistics
    from fpt_ros.geometry.camera import Camera
    from fpt_ros.inference.context import ImageContext
    from fpt_ros.inference.evaluation import PokeEvaluation
    from fpt_ros.inference.predictor import Predictor
    from fpt_ros.inference.segmentation import MovingPart
    from fpt_ros.inference.steps import Steps
    from fpt_ros.model import MotionMixture

    Pokes = Float32[np.ndarray, "P 4"]
    Points = Float32[np.ndarray, "N 2"]

CHUNK = 1024  # points in one step
NO_POKES = np.zeros((0, 4), np.float32)
NO_POINTS = np.zeros((0, 2), np.float32)


class Engine:
    """Answers questions about the images that it keeps.

    Each answer comes in steps of bounded time and memory, which one thread at a time advances (see
    Turns). A question that cannot be served raises a RequestError.
    """

    def __init__(
        self,
        predictor: Predictor,
        settings: Settings,
        statistics: Statistics,
        now: Callable[[], float],
    ) -> None:
        """`now` is the time on the clock of the images' stamps, in seconds."""
        self.settings = settings
        self.frames = Frames(settings.image_cache)
        self.depths = Depths(settings.image_cache)
        self.read_camera: Callable[[], Camera] | None = None
        """Gives the camera of the images; ValueError if it is not calibrated. None: not known."""
        self.predictor = predictor
        self.statistics = statistics
        self._now = now

    def apply(self, settings: Settings) -> None:
        """Use other settings from the next question on."""
        self.settings = settings
        self.frames.resize(settings.image_cache)

    def add_image(self, frame: Frame) -> None:
        """Keep an image as the newest, with the depth that belongs to it."""
        self.depths.find(frame, self.settings.depth_tolerance)
        self.frames.add(frame)

    def add_depth(self, depth: Depth) -> None:
        """Keep a depth image, for the image of its stamp."""
        self.depths.add(depth, self.frames, self.settings.depth_tolerance)

    def predict(
        self, stamp: Stamp, pokes: Pokes, points: Points, camera_moving: bool
    ) -> Steps[Motion]:
        """The motion of `points`, or of the grid if there are none, in the image of this stamp."""
        frame = self.find(stamp)
        self.check_on_image(frame, pokes, points)
        context = yield from self.embed(frame)
        return (yield from self.query(frame, context, pokes, points, camera_moving))

    def evaluate(
        self,
        stamp: Stamp,
        candidates: list[Pokes],
        points: Points,
        goals: Points,
        tolerance: float,
        camera_moving: bool,
        return_motions: bool,
    ) -> Steps[tuple[PokeEvaluation, list[Motion]]]:
        """How well each candidate moves the points to their goals; the motions if asked for."""
        check_tolerance(tolerance)
        if return_motions:
            what = f"return_motions: candidates ({len(candidates)}) x points ({len(points)})"
            check_product(what, len(candidates) * len(points), self.settings.max_queries)
        frame = self.find(stamp)
        self.check_on_image(frame, NO_POKES, points)
        for i, pokes in enumerate(candidates):
            self.check_on_image(frame, pokes, NO_POINTS, f"candidates[{i}].")
        context = yield from self.embed(frame)
        evaluation = yield from self.predictor.evaluate_steps(
            context, candidates, points, goals, tolerance, camera_moving, return_motions
        )
        self.statistics.succeeded()
        motions = [
            self._motion(frame, pokes, points, (0, 0), camera_moving, _arrays(mixture))
            for pokes, mixture in zip(candidates, evaluation.motions, strict=False)
        ]
        return evaluation, motions

    def segment(
        self, stamp: Stamp, pokes: Pokes, camera_moving: bool
    ) -> Steps[tuple[MovingPart, Frame]]:
        """What moves along with the pokes, and in which image."""
        if not len(pokes):
            raise invalid("pokes is empty: at least 1 is needed")
        frame = self.find(stamp)
        self.check_on_image(frame, pokes, NO_POINTS)
        context = yield from self.embed(frame)
        part = yield from self.predictor.segment_steps(
            context, pokes, camera_moving, self.settings.max_queries
        )
        self.statistics.succeeded()
        return part, frame

    def sample(
        self,
        stamp: Stamp,
        pokes: Pokes,
        points: Points,
        samples: int,
        seed: int | None,
        camera_moving: bool,
        report: Callable[[int, int], None],
    ) -> Steps[Samples]:
        """Joint futures of the points, or of the grid if there are none.

        Args:
            seed: the same draws the same futures; None: drawn anew.
            report: is told how many points have been sampled, and of how many.
        """
        frame = self.find(stamp)
        self.check_on_image(frame, pokes, points)
        points, grid = self._grid_if_empty(frame, points)
        total = samples * len(points)
        if samples < 1:
            raise invalid(f"samples is {samples}: must be at least 1")
        what = f"samples ({samples}) x points ({len(points)})"
        check_product(what, total, self.settings.max_queries)
        context = yield from self.embed(frame)
        steps = self.predictor.sample_steps(context, pokes, points, samples, seed, camera_moving)
        done = 0
        while True:
            try:
                done += next(steps)
            except StopIteration as end:
                self.statistics.succeeded()
                return Samples(points, end.value, frame.size, grid, self._horizon, frame.header)
            report(done, total)
            yield

    def hold(self, stamp: Stamp, seconds: float) -> Frame:
        """Keep the frame of this stamp, see Frames.hold; RequestError NO_IMAGE if it is too old."""
        frame = self.frames.hold(stamp, seconds)
        self.check_age(frame)
        return frame

    def find(self, stamp: Stamp = NEWEST, future_is_newest: bool = False) -> Frame:
        """The frame of this stamp, see Frames.find; RequestError NO_IMAGE if it is too old."""
        frame = self.frames.find(stamp, future_is_newest)
        self.check_age(frame)
        return frame

    def check_age(self, frame: Frame) -> None:
        """RequestError NO_IMAGE for a frame older than max_image_age.

        By its stamp; for one without, since its arrival.
        """
        allowed = self.settings.max_image_age
        seconds, nanoseconds = frame.stamp
        age = self._now() - seconds - nanoseconds * 1e-9
        if frame.stamp == NEWEST:
            age = time.monotonic() - frame.arrived
        if allowed and age > allowed:
            raise RequestError(
                ErrorCode.NO_IMAGE,
                f"image {frame.text} is {age:.3f} s old: at most {allowed} are allowed "
                "(parameter max_image_age)",
            )

    def check_on_image(self, frame: Frame, pokes: Pokes, points: Points, prefix: str = "") -> None:
        """RequestError for the first poke or point that cannot be meant, named after `prefix`.

        Also PREDICTION_FAILED for a frame that cannot be decoded; it is then let go.
        """
        try:
            width, height = frame.size
        except ImageError as error:
            self.frames.remove(frame)
            message = f"image {frame.text}: {error}"
            raise RequestError(ErrorCode.PREDICTION_FAILED, message) from error
        try:
            check_pokes(pokes, width, height)
            check_length(pokes, width, height)
            check_points(points, width, height)
        except ValueError as error:
            raise invalid(f"{prefix}{error}") from error

    def embed(self, frame: Frame) -> Steps[ImageContext]:
        """The features of a frame, computed once; a step if they are computed now."""
        context = frame.context
        if context is None:
            with self.statistics.timed("embed"):
                context = frame.context = self.predictor.embed(frame.rgb)
            self.statistics.count("embedded")
            yield
        return context

    def query(
        self,
        frame: Frame,
        context: ImageContext,
        pokes: Pokes,
        points: Points,
        camera_moving: bool,
    ) -> Steps[Motion]:
        """The motion of the points, or of the grid if there are none, a step for each CHUNK."""
        points, grid = self._grid_if_empty(frame, points)
        chunks = []
        for chunk in np.split(points, range(CHUNK, len(points), CHUNK)):
            with self.statistics.timed("query"):
                mixture = self.predictor.predict(context, pokes, chunk, camera_moving)
                chunks.append(_arrays(mixture))
            yield
        self.statistics.succeeded()
        arrays = [np.concatenate(parts) for parts in zip(*chunks, strict=True)]
        return self._motion(frame, pokes, points, grid, camera_moving, arrays)

    @property
    def _horizon(self) -> float:
        """Seconds over which points move; 0: unknown."""
        return self.settings.horizon or self.predictor.info.horizon

    def _grid_if_empty(self, frame: Frame, points: Points) -> tuple[Points, tuple[int, int]]:
        """The points and (0, 0), or the grid's points, columns and rows if there are none."""
        if len(points):
            return points, (0, 0)
        grid = self.settings.grid  # once: it may be set meanwhile
        return grid_points(*frame.size, *grid), grid

    def _motion(
        self,
        frame: Frame,
        pokes: Pokes,
        points: Points,
        grid: tuple[int, int],
        camera_moving: bool,
        arrays: list[np.ndarray],
    ) -> Motion:
        return Motion(
            pokes=pokes,
            points=points,
            weights=arrays[0],
            means=arrays[1],
            covariances=arrays[2],
            image_size=frame.size,
            camera_moving=camera_moving,
            grid=grid,
            horizon=self._horizon,
            header=frame.header,
        )


def _arrays(mixture: MotionMixture) -> list[np.ndarray]:
    """Weights, means and covariances, float32."""
    arrays = (mixture.weights, mixture.locs, mixture.covariances)
    return [np.asarray(array, np.float32) for array in arrays]
