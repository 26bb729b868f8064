# SPDX-License-Identifier: Apache-2.0
"""The model in pixels: an image's context once, then any number of pokes and points on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fpt_ros.inference.batch import MotionRequest, predict_together
from fpt_ros.inference.blocks import join_blocks, predict_blocks
from fpt_ros.inference.context import ImageContext
from fpt_ros.inference.cuda_graphs import CudaGraphs
from fpt_ros.inference.embedding import checked_image, embed_images
from fpt_ros.inference.evaluation import PokeEvaluation, evaluation_steps
from fpt_ros.inference.inputs import as_rows, candidates_to_unit, checked_points, named
from fpt_ros.inference.model_info import ModelInfo
from fpt_ros.inference.packing import for_inference
from fpt_ros.inference.sampling import points_in_turn, sampling_steps
from fpt_ros.inference.segmentation import MOST_POINTS, MovingPart, segmentation_steps
from fpt_ros.inference.steps import Steps, finish
from fpt_ros.inference.transfer import to_device
from fpt_ros.inference.view import check_fit
from fpt_ros.model import FlowPokeTransformer, MotionMixture, load_checkpoint

if TYPE_CHECKING:
    from jaxtyping import Float, Float64, UInt8
    from numpy.typing import ArrayLike

    from fpt_ros.inference.blocks import Block


class Predictor:
    """A model that takes and gives pixels: (0, 0) is the centre of the top-left one.

    Points outside the view (with `crop`, at the sides of a wide image) are answered, too: the
    model extrapolates there from the border of what it sees. Mixtures come on the CPU.

    The predictor answers with the weights that the model had when it was made: what is trained or
    written later changes nothing.

    Requests of any size are computed in blocks of bounded memory. A poke that is given several
    times counts once (see `fpt_ros.inference.inputs.checked_pokes`), everywhere.

    Args:
        fit: how images that are not square are shown to the model, see `View`.
        compile: run the image encoder through `torch.compile`; on CUDA the predictions as well,
            recorded as CUDA graphs (see `fpt_ros.inference.cuda_graphs`).
        copy: False: the model itself becomes the predictor's, without a copy of its weights, and
            is of no other use any more.

    Raises:
        ValueError: an unknown fit.
    """

    def __init__(
        self,
        model: FlowPokeTransformer,
        fit: str = "crop",
        compile: bool = False,
        copy: bool = True,
    ) -> None:
        check_fit(fit)
        self.spread = 1.0
        """What the standard deviations of every component are multiplied by, see
        `fpt_ros.inference.calibration`. Samples and segmentation are as without it."""
        self.info = ModelInfo.of(model)
        self.model = for_inference(deepcopy(model) if copy else model, compile)
        on_cuda = self.model.device.type == "cuda"
        self._asked = CudaGraphs(self.model, compile) if compile and on_cuda else self.model
        self.fit = fit

    @classmethod
    def from_checkpoint(
        cls,
        source: str | Path = "embedded",
        device: str = "auto",
        dtype: str = "auto",
        compile: bool = False,
        fit: str = "crop",
        allow_download: bool = False,
    ) -> Predictor:
        """Load a checkpoint (see `fpt_ros.model.load_checkpoint` for its arguments and errors).

        Args:
            compile: as above; the first image and, on CUDA, the first request then take up to
                minutes. Later ones take less time on GPUs and some CPUs; on others the
                packed layers are as fast without it (`benchmarks/README.md`).
        """
        check_fit(fit)
        model = load_checkpoint(source, device, dtype, allow_download)
        return cls(model, fit, compile, copy=False)

    def warm_up(self) -> None:
        """One prediction on an empty image: what runs only the first time, runs now."""
        size = self.model.config.image_size
        context = self.embed(np.zeros((size, size, 3), np.uint8))
        self.predict(context, np.array([[0, 0, 1, 1]]), np.zeros((1, 2)))

    def embed(self, image: UInt8[np.ndarray, "h w 3"]) -> ImageContext:
        """Run the image encoder.

        Args:
            image: RGB.

        Raises:
            ValueError: not an array of that type and shape, or one without pixels.
        """
        return embed_images(self.model, [checked_image(image)], self.fit)[0]

    def embed_batch(self, images: Sequence[UInt8[np.ndarray, "h w 3"]]) -> list[ImageContext]:
        """Run the image encoder on several images of any sizes together, as `embed`.

        Raises:
            ValueError: as `embed`; the message names the image.
        """
        checked = []
        for i, image in enumerate(images):
            with named(f"images[{i}]: "):
                checked.append(checked_image(image))
        return embed_images(self.model, checked, self.fit)

    def predict(
        self,
        context: ImageContext,
        pokes: ArrayLike | Tensor,
        points: ArrayLike | Tensor,
        camera_moving: bool = False,
    ) -> MotionMixture:
        """Mixtures [n] over the displacements of the points [n, 2], given all pokes [p, 4]
        (x, y, dx, dy), in pixels.

        If `pokes` (or `points`) is a tensor that requires gradients, and they are being recorded,
        the mixtures have gradients with respect to it; memory then grows with the request.

        Raises:
            ValueError: a poke or point that is not finite or not on the image, or too many pokes;
                the message names it and what is allowed.
        """
        request = MotionRequest(context, pokes, points, camera_moving)
        found = predict_together(self._asked, [request], [request.in_units()])
        return found[0].widened(self.spread)

    def predict_batch(self, requests: Sequence[MotionRequest]) -> list[MotionMixture]:
        """As `predict`, for several requests, of any sizes and on any images.

        Those on one image with about as many pokes and points run through the model together.

        Raises:
            ValueError: as `predict`; the message names the request.
        """
        inputs = []
        for i, request in enumerate(requests):
            with named(f"requests[{i}]."):
                inputs.append(request.in_units())
        found = predict_together(self._asked, requests, inputs)
        return [mixture.widened(self.spread) for mixture in found]

    def evaluate(
        self,
        context: ImageContext,
        candidates: Sequence[ArrayLike | Tensor],
        points: ArrayLike | Tensor,
        goals: ArrayLike | Tensor,
        tolerance: float,
        camera_moving: bool = False,
        return_motions: bool = True,
    ) -> PokeEvaluation:
        """What each candidate (a set of pokes [p, 4]) would do to the points, against their goals.

        The result holds arrays. For gradients with respect to pokes, ask `predict_batch`, whose
        mixtures give the same figures.

        Args:
            goals: the displacement wanted of each point [n, 2], pixels.
            tolerance: distance to the goal that still counts as reached, pixels.
            return_motions: whether to keep the mixtures, which take most of the memory.

        Raises:
            ValueError: as `predict`; also no candidate, no point, goals of another shape or not
                finite, a tolerance that is negative or not finite.
        """
        steps = self.evaluate_steps(
            context, candidates, points, goals, tolerance, camera_moving, return_motions
        )
        return finish(steps)

    def evaluate_steps(
        self,
        context: ImageContext,
        candidates: Sequence[ArrayLike | Tensor],
        points: ArrayLike | Tensor,
        goals: ArrayLike | Tensor,
        tolerance: float,
        camera_moving: bool = False,
        return_motions: bool = True,
    ) -> Steps[PokeEvaluation]:
        """As `evaluate`, in steps of bounded time and memory."""
        at = context.view.to_unit(checked_points(points, context.view))
        sets = candidates_to_unit(candidates, context.view)

        def ask(pokes: Tensor, points: Tensor) -> Iterator[Block]:
            found = predict_blocks(self._asked, context, pokes, points[None], camera_moving)
            return ((rows, part, mixture.widened(self.spread)) for rows, part, mixture in found)

        wanted, device = as_rows(goals, 2), self.model.device
        return evaluation_steps(ask, sets, at, wanted, tolerance, return_motions, device)

    def sample(
        self,
        context: ImageContext,
        pokes: ArrayLike | Tensor,
        points: ArrayLike | Tensor,
        samples: int = 1,
        seed: int | None = None,
        camera_moving: bool = False,
    ) -> Float[np.ndarray, "s n 2"]:
        """Joint samples of all points' displacements, pixels: each agrees with itself.

        Equal seeds give equal samples, on any device but for its rounding.

        Raises:
            ValueError: as `predict`; also no point, or less than one sample.
        """
        return finish(self.sample_steps(context, pokes, points, samples, seed, camera_moving))

    def sample_steps(
        self,
        context: ImageContext,
        pokes: ArrayLike | Tensor,
        points: ArrayLike | Tensor,
        samples: int = 1,
        seed: int | None = None,
        camera_moving: bool = False,
    ) -> Steps[Float[np.ndarray, "s n 2"]]:
        """As `sample`, in steps of one point of some samples; each yields how many those are."""
        given, at = MotionRequest(context, pokes, points).in_units()
        if samples < 1 or not len(at):
            raise ValueError(f"{samples} samples of {len(at)} points: at least 1 of each")
        begin = partial(points_in_turn, self._asked, context, camera_moving)
        unit = np.asarray(context.view.sides, np.float32)
        return sampling_steps(begin, given, at, samples, seed, unit, self.model.device)

    @property
    def motion_threshold(self) -> float:
        """Divergence above which a point is part of what moves, nats."""
        return self.model.config.motion_threshold

    def segment(
        self,
        context: ImageContext,
        pokes: ArrayLike | Tensor,
        camera_moving: bool = False,
        max_points: int = MOST_POINTS,
    ) -> MovingPart:
        """What moves along with the pokes, for every pixel of the image.

        A grid of at most `max_points` points is asked (and never more than 4096), most of them
        within the model's view, once with the pokes and, for the first time on an image, once
        without. Between them the answers are interpolated.

        Raises:
            ValueError: as `predict`; also no poke, or `max_points` below 1.
        """
        return finish(self.segment_steps(context, pokes, camera_moving, max_points))

    def segment_steps(
        self,
        context: ImageContext,
        pokes: ArrayLike | Tensor,
        camera_moving: bool = False,
        max_points: int = MOST_POINTS,
    ) -> Steps[MovingPart]:
        """As `segment`, in steps of bounded time and memory."""
        view, device = context.view, self.model.device
        given, _ = MotionRequest(context, pokes, points=()).in_units()
        if not len(given):
            raise ValueError("pokes is empty: at least 1 is needed")

        def motion(pokes: Tensor, points: Float64[np.ndarray, "n 2"]) -> MotionMixture:
            inputs = to_device([pokes, view.to_unit(torch.from_numpy(points))], device)
            sets, at = (tensor[None] for tensor in inputs)
            return join_blocks(predict_blocks(self._asked, context, sets, at, camera_moving))[0]

        poked, unpoked = partial(motion, given), partial(motion, given[:0])
        return segmentation_steps(
            poked, unpoked, context, camera_moving, self.motion_threshold, max_points
        )
