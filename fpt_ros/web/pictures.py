# SPDX-License-Identifier: Apache-2.0
"""Pictures that a tab has opened, and the answers about them, computed here by a `Predictor`."""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from fpt_ros.inference.moving_part import LIKELY, divergence, moving_probability
from fpt_ros.model.mixture import join_mixtures
from fpt_ros.web.embeddings import Embeddings, Pixels
from fpt_ros.web.plans import Wish, plan_in_thread

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

    from fpt_ros import Predictor
    from fpt_ros.inference.context import ImageContext
    from fpt_ros.inference.steps import Steps
    from fpt_ros.model import MotionMixture
    from fpt_ros.web.messages import Request
    from fpt_ros.web.sharing import TabJobs

Arrays = dict[str, Any]
"""What an answer has: fields and arrays, as `static/messages.json` names them."""
AT_ONCE = 160
"""Points of a field that one step asks about: what follows the pointer waits for no more."""
UNPOKED_KEPT = 4
"""Fields without pokes that are kept for a picture."""


class Picture(Protocol):
    """An open picture; what it is asked is pixels and gives pixels."""

    width: int
    height: int

    def ask(self, request: Request) -> Future[Arrays]:
        """Begin to answer `predict`, `field`, `sample` or `plan`. Cancel the future to stop."""

    def close(self) -> None:
        """It is asked nothing any more."""


class ModelPicture:
    """A picture of which this process's model is asked, in the turns of its tab."""

    def __init__(
        self,
        predictor: Predictor,
        embeddings: Embeddings,
        jobs: TabJobs,
        rgb: UInt8[np.ndarray, "h w 3"],
    ) -> None:
        self.height, self.width = rgb.shape[:2]
        self._predictor = predictor
        self._embeddings = embeddings
        self._pixels = Pixels(rgb)
        self._jobs = jobs
        self._unpoked: dict[tuple[bool, bytes], MotionMixture] = {}

    def embed(self) -> Future[ImageContext]:
        """Embed the picture, in a turn of the tab, so that the first question need not."""

        def steps() -> Steps[ImageContext]:
            yield
            return self._context

        return self._jobs.submit("open", steps())

    def ask(self, request: Request) -> Future[Arrays]:
        if request.kind == "plan":
            return plan_in_thread(Wish.of(request, self.width, self.height), self._evaluate)
        answer = {"predict": self._predict, "field": self._field, "sample": self._sample}
        return self._jobs.submit(request.kind, _timed(answer[request.kind](request)))

    def close(self) -> None:
        pass

    @property
    def _context(self) -> ImageContext:
        return self._embeddings.of(self._pixels)

    def _motion(
        self, pokes: Float[np.ndarray, "p 4"], points: Float[np.ndarray, "n 2"], camera_moving: bool
    ) -> MotionMixture:
        return self._predictor.predict(self._context, pokes, points, camera_moving)

    def _predict(self, request: Request) -> Steps[Arrays]:
        pokes, points = request.arrays["pokes"], request.arrays["points"]
        motion = self._motion(pokes, points, request.fields["camera_moving"])
        return mixture_arrays(motion.weights, motion.locs, motion.covariances)
        yield

    def _field(self, request: Request) -> Steps[Arrays]:
        pokes, points = request.arrays["pokes"], request.arrays["points"]
        camera_moving = request.fields["camera_moving"]
        parts = []
        for start in range(0, max(len(points), 1), AT_ONCE):
            parts.append(self._motion(pokes, points[start : start + AT_ONCE], camera_moving))
            yield
        motion = join_mixtures(parts)
        unpoked = self._unpoked_field(points, camera_moving) if len(pokes) else motion
        side = max(self._context.view.sides)
        return field_arrays(motion, unpoked, side, self._predictor.motion_threshold)

    def _unpoked_field(
        self, points: Float[np.ndarray, "n 2"], camera_moving: bool
    ) -> MotionMixture:
        key = camera_moving, points.tobytes()
        if key not in self._unpoked:
            while len(self._unpoked) >= UNPOKED_KEPT:
                del self._unpoked[next(iter(self._unpoked))]
            self._unpoked[key] = self._motion(np.zeros((0, 4)), points, camera_moving)
        return self._unpoked[key]

    def _sample(self, request: Request) -> Steps[Arrays]:
        fields, arrays = request.fields, request.arrays
        displacements = yield from self._predictor.sample_steps(
            self._context,
            arrays["pokes"],
            arrays["points"],
            fields["samples"],
            fields["seed"],
            fields["camera_moving"],
        )
        return {"displacements": displacements}

    def _evaluate(self, *args: Any, **kwargs: Any) -> Future[Any]:
        """What `plan_poke` asks, in the tab's turns."""

        def steps() -> Steps[Any]:
            return (yield from self._predictor.evaluate_steps(self._context, *args, **kwargs))

        return self._jobs.submit("plan", steps())


@torch.no_grad()
def field_arrays(
    motion: MotionMixture, unpoked: MotionMixture, side: float, threshold: float
) -> Arrays:
    """The answer to `field`: means, and how probable it is that the points [n] move along: 0 where
    the pokes change nothing (see `fpt_ros.inference.moving_part`).

    Args:
        unpoked: how they move by themselves.
        side: of the model's view, pixels.
        threshold: of the divergence, nats.
    """
    moving = moving_probability(motion, side)
    likely = moving > LIKELY
    along = torch.zeros_like(moving)
    if likely.any():
        changed = divergence(motion[likely], unpoked[likely]) > threshold
        along[likely] = moving[likely] * changed
    return {"mean": motion.mean.numpy(), "moving": along.numpy()}


def mixture_arrays(weights: Any, means: Any, covariances: Any) -> Arrays:
    """The answer to `predict`, of arrays [n, k], [n, k, 2] and [n, k, 2, 2]."""
    covariances = np.asarray(covariances)
    packed = np.stack([covariances[..., i, j] for i, j in ((0, 0), (0, 1), (1, 1))], -1)
    return {"weights": np.asarray(weights), "means": np.asarray(means), "covariances": packed}


def _timed(steps: Steps[Arrays]) -> Steps[Arrays]:
    """The same, and how long the steps themselves took: `milliseconds`."""
    spent = 0.0
    while True:
        begin = time.perf_counter()
        try:
            next(steps)
        except StopIteration as end:
            spent += time.perf_counter() - begin
            return {**end.value, "milliseconds": 1e3 * spent}
        spent += time.perf_counter() - begin
        yield
