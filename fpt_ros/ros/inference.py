"""The predictor as the worker uses it: frames in, motions out, timed and interruptible."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from fpt_ros.msg import ErrorCode
from fpt_ros.predictor import ImageContext, Predictor
from fpt_ros.ros.conversions import Motion
from fpt_ros.ros.requests import RequestError
from fpt_ros.view import grid_points

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float32

    from fpt_ros.ros.diagnostics import Statistics
    from fpt_ros.ros.frames import Frame
    from fpt_ros.ros.parameters import Settings

# Points in one call of the model: between two calls a prediction can be stopped.
CHUNK = 1024


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

    def motion(
        self,
        frame: Frame,
        pokes: Float32[np.ndarray, "P 4"],
        points: Float32[np.ndarray, "N 2"],
        settings: Settings,
        camera_moving: bool,
        wanted: Callable[[], bool],
    ) -> Motion:
        """The motion of `points`, or of the grid if there are none, in this frame.

        Embeds the frame if that has not been done. RequestError CANCELED as soon as `wanted()` is
        false.
        """
        context = self._context(frame)
        grid = (0, 0)
        if not len(points):
            grid = settings.grid
            points = grid_points(*frame.size, *grid)
        with self._statistics.timed("query"):
            chunks = [
                self._query(context, pokes, chunk, camera_moving, wanted)
                for chunk in np.split(points, range(CHUNK, len(points), CHUNK))
            ]
        weights, means, covariances = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
        return Motion(
            pokes=pokes,
            points=points,
            weights=weights,
            means=means,
            covariances=covariances,
            image_size=frame.size,
            camera_moving=camera_moving,
            grid=grid,
            horizon=settings.horizon or self.info.horizon,
        )

    def _context(self, frame: Frame) -> ImageContext:
        if frame.context is None:
            rgb = frame.rgb
            with self._statistics.timed("embed"):
                frame.context = self.predictor.embed(rgb)
            self._statistics.count("embedded")
        return frame.context

    def _query(
        self,
        context: ImageContext,
        pokes: Float32[np.ndarray, "P 4"],
        points: Float32[np.ndarray, "n 2"],
        camera_moving: bool,
        wanted: Callable[[], bool],
    ) -> list[np.ndarray]:
        if not wanted():
            raise RequestError(ErrorCode.CANCELED, "the node was deactivated meanwhile")
        mixture = self.predictor.predict(context, pokes, points, camera_moving)
        arrays = (mixture.weights, mixture.locs, mixture.covariances)
        return [np.asarray(array, np.float32) for array in arrays]


def free_cached_memory() -> None:
    """Give back the device memory that PyTorch keeps after a model is gone."""
    torch.cuda.empty_cache()
