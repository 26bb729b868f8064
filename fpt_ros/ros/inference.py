"""The predictor as the worker uses it: frames in, motions out, timed and in steps."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import numpy as np
import torch

from fpt_ros.inference.predictor import ImageContext, PokeEvaluation, Predictor
from fpt_ros.inference.view import check_points, check_pokes, grid_points
from fpt_ros.ros.conversions import Motion
from fpt_ros.ros.requests import invalid

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float32

    from fpt_ros.inference.segmentation import MovingPart
    from fpt_ros.inference.steps import Steps
    from fpt_ros.model import MotionMixture
    from fpt_ros.ros.diagnostics import Statistics
    from fpt_ros.ros.frames import Frame
    from fpt_ros.ros.parameters import Settings

CHUNK = 1024  # points in one step


class Inference:
    """A loaded model and its timings."""

    def __init__(self, settings: Settings, statistics: Statistics) -> None:
        """Load the checkpoint and run the model once.

        Raises what Predictor.from_checkpoint raises for a checkpoint or device that is not there.
        """
        self._statistics = statistics
        self.predictor = Predictor.from_checkpoint(
            settings.checkpoint,
            device=settings.device,
            dtype=settings.dtype,
            compile=settings.compile,
            fit=settings.fit,
            allow_download=settings.allow_download,
        )
        self.info = self.predictor.info
        self.predictor.warm_up()
        # Else Python's collector looks at all that PyTorch has made, 0.1 s in which nothing is
        # answered.
        gc.collect()
        gc.freeze()

    def motion(
        self,
        frame: Frame,
        pokes: Float32[np.ndarray, "P 4"],
        points: Float32[np.ndarray, "N 2"],
        settings: Settings,
        camera_moving: bool,
    ) -> Steps[Motion]:
        """The motion of `points`, or of the grid if there are none, in this frame."""
        context = yield from self._context(frame)
        points, grid = grid_if_empty(points, frame, settings)
        chunks = []
        for chunk in np.split(points, range(CHUNK, len(points), CHUNK)):
            with self._statistics.timed("query"):
                chunks.append(_arrays(self.predictor.predict(context, pokes, chunk, camera_moving)))
            yield
        arrays = [np.concatenate(parts) for parts in zip(*chunks, strict=True)]
        return self._motion(frame, pokes, points, settings, camera_moving, arrays, grid)

    def evaluate(
        self,
        frame: Frame,
        candidates: list[Float32[np.ndarray, "P 4"]],
        points: Float32[np.ndarray, "N 2"],
        goals: Float32[np.ndarray, "N 2"],
        tolerance: float,
        settings: Settings,
        camera_moving: bool,
        return_motions: bool,
    ) -> Steps[tuple[PokeEvaluation, list[Motion]]]:
        """How well each candidate moves the points to their goals; the motions if asked for."""
        context = yield from self._context(frame)
        evaluation = yield from self.predictor.evaluate_steps(
            context, candidates, points, goals, tolerance, camera_moving, return_motions
        )
        motions = [
            self._motion(frame, pokes, points, settings, camera_moving, _arrays(mixture))
            for pokes, mixture in zip(candidates, evaluation.motions, strict=False)
        ]
        return evaluation, motions

    def segment(
        self, frame: Frame, pokes: Float32[np.ndarray, "P 4"], camera_moving: bool
    ) -> Steps[MovingPart]:
        """What moves along with the pokes."""
        context = yield from self._context(frame)
        return (yield from self.predictor.segment_steps(context, pokes, camera_moving))

    def sample(
        self,
        frame: Frame,
        pokes: Float32[np.ndarray, "P 4"],
        points: Float32[np.ndarray, "N 2"],
        samples: int,
        seed: int | None,
        camera_moving: bool,
        report: Callable[[int], None],
    ) -> Steps[Float32[np.ndarray, "S N 2"]]:
        """Joint futures of the points; `report` is told how many points have been sampled."""
        context = yield from self._context(frame)
        steps = self.predictor.sample_steps(context, pokes, points, samples, seed, camera_moving)
        done = 0
        while True:
            try:
                done += next(steps)
            except StopIteration as end:
                return end.value
            report(done)
            yield

    def horizon(self, settings: Settings) -> float:
        """Seconds over which points move; 0: unknown."""
        return settings.horizon or self.info.horizon

    def _motion(
        self,
        frame: Frame,
        pokes: Float32[np.ndarray, "P 4"],
        points: Float32[np.ndarray, "N 2"],
        settings: Settings,
        camera_moving: bool,
        arrays: list[np.ndarray],
        grid: tuple[int, int] = (0, 0),
    ) -> Motion:
        weights, means, covariances = arrays
        return Motion(
            pokes=pokes,
            points=points,
            weights=weights,
            means=means,
            covariances=covariances,
            image_size=frame.size,
            camera_moving=camera_moving,
            grid=grid,
            horizon=self.horizon(settings),
        )

    def _context(self, frame: Frame) -> Steps[ImageContext]:
        if frame.context is None:
            rgb = frame.rgb
            with self._statistics.timed("embed"):
                context = frame.context = self.predictor.embed(rgb)
            self._statistics.count("embedded")
            yield
            return context
        return frame.context


def check_inside(
    pokes: Float32[np.ndarray, "P 4"],
    points: Float32[np.ndarray, "N 2"],
    width: int,
    height: int,
) -> None:
    """RequestError for the first poke or query point outside a width x height image [px]."""
    try:
        check_pokes(pokes, width, height)
        check_points(points, width, height)
    except ValueError as error:
        raise invalid(str(error)) from error


def grid_if_empty(
    points: Float32[np.ndarray, "N 2"], frame: Frame, settings: Settings
) -> tuple[Float32[np.ndarray, "N 2"], tuple[int, int]]:
    """The points, or those of the grid if there are none; columns and rows, (0, 0) for points."""
    if len(points):
        return points, (0, 0)
    return grid_points(*frame.size, *settings.grid), settings.grid


def _arrays(mixture: MotionMixture) -> list[np.ndarray]:
    """Weights, means and covariances, float32."""
    arrays = (mixture.weights, mixture.locs, mixture.covariances)
    return [np.asarray(array, np.float32) for array in arrays]


def free_memory() -> None:
    """Give back what Python and PyTorch keep of a model that is gone."""
    gc.unfreeze()
    gc.collect()
    torch.cuda.empty_cache()
