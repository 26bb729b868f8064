"""The model in pixels: an image's context once, then any number of pokes and points on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from fpt_ros.inference.evaluation import PokeEvaluation, evaluation_steps
from fpt_ros.inference.packing import for_inference
from fpt_ros.inference.sampling import Draw, sampling_steps
from fpt_ros.inference.segmentation import MovingPart, segmentation_steps
from fpt_ros.inference.steps import Steps, finish
from fpt_ros.inference.view import FITS, View, check_points, check_pokes
from fpt_ros.model import EmbeddedImage, FlowPokeTransformer, MotionMixture, load_checkpoint

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8


@dataclasses.dataclass(frozen=True)
class ImageContext:
    """What predictions need of one image; made by `Predictor.embed`, kept for any number."""

    view: View
    embedded: EmbeddedImage

    @property
    def width(self) -> int:
        """Of the image, pixels."""
        return self.view.width

    @property
    def height(self) -> int:
        """Of the image, pixels."""
        return self.view.height


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """What a caller may want to know of the loaded model."""

    checkpoint: str
    sha256: str
    license: str
    device: str
    dtype: str
    horizon: float
    """Seconds; 0: unknown or not fixed."""
    components: int
    view_size: int
    """Side of the model's square view, pixels."""
    parameters: int


class Predictor:
    """A model that takes and gives pixels: (0, 0) is the centre of the top-left one.

    Points outside the view (with `crop`, at the sides of a wide image) are answered, too: the
    model extrapolates there from the border of what it sees. Mixtures come on the CPU.

    The predictor answers with the weights that the model had when it was made: what is trained or
    written later changes nothing.

    Args:
        fit: how images that are not square are shown to the model, see `View`.
        compile: run the image encoder through `torch.compile`.
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
        _check_fit(fit)
        self.info = _info(model)
        self.model = for_inference(deepcopy(model) if copy else model, compile)
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
            compile: run the image encoder through `torch.compile`; the first image then takes
                up to minutes. Later ones take less time on GPUs and some CPUs; on others the
                packed layers are as fast without it (`benchmarks/README.md`).
        """
        _check_fit(fit)
        model = load_checkpoint(source, device, dtype, allow_download)
        return cls(model, fit, compile, copy=False)

    def warm_up(self) -> None:
        """One prediction on an empty image: what runs only the first time, runs now."""
        size = self.model.config.image_size
        context = self.embed(np.zeros((size, size, 3), np.uint8))
        self.predict(context, np.array([[0, 0, 1, 1]]), np.zeros((1, 2)))

    @torch.inference_mode()
    def embed(self, image: UInt8[np.ndarray, "h w 3"]) -> ImageContext:
        """Run the image encoder.

        Args:
            image: RGB.

        Raises:
            ValueError: not an array of that type and shape, or one without pixels.
        """
        image = np.asarray(image)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(
                f"the image is {image.dtype} of shape {image.shape}: must be uint8 [h, w, 3], RGB"
            )
        view = View(image.shape[1], image.shape[0], self.fit)
        pixels = torch.from_numpy(np.ascontiguousarray(image))
        pixels = pixels.to(self.model.device, non_blocking=True)
        square = view.square(pixels, self.model.config.image_size)
        return ImageContext(view, self.model.embed_image(square))

    def predict(
        self,
        context: ImageContext,
        pokes: Float[np.ndarray, "p 4"],
        points: Float[np.ndarray, "n 2"],
        camera_moving: bool = False,
    ) -> MotionMixture:
        """Mixtures [n] over the displacements of the points, given all pokes (x, y, dx, dy).

        Raises:
            ValueError: a poke or point that is not finite or not on the image; the message names
                it and what is allowed.
        """
        pokes, points = _as_pokes(pokes), _as_points(points)
        check_pokes(pokes, context.width, context.height)
        check_points(points, context.width, context.height)
        if len(points) == 0:
            return _empty_mixture(self.model.config.components)
        return self._predict_batch(context, pokes[None], points, camera_moving)[0]

    def evaluate(
        self,
        context: ImageContext,
        candidates: Sequence[Float[np.ndarray, "p 4"]],
        points: Float[np.ndarray, "n 2"],
        goals: Float[np.ndarray, "n 2"],
        tolerance: float,
        camera_moving: bool = False,
        return_motions: bool = True,
    ) -> PokeEvaluation:
        """What each candidate (a set of pokes) would do to the points, against their goals.

        Args:
            goals: the displacement wanted of each point, pixels.
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
        candidates: Sequence[Float[np.ndarray, "p 4"]],
        points: Float[np.ndarray, "n 2"],
        goals: Float[np.ndarray, "n 2"],
        tolerance: float,
        camera_moving: bool = False,
        return_motions: bool = True,
    ) -> Steps[PokeEvaluation]:
        """As `evaluate`, in steps of bounded time and memory."""
        sets = [_as_pokes(pokes) for pokes in candidates]
        points, goals = _as_points(points), np.asarray(goals, np.float64)
        check_points(points, context.width, context.height)
        for i, pokes in enumerate(sets):
            try:
                check_pokes(pokes, context.width, context.height)
            except ValueError as error:
                raise ValueError(f"candidates[{i}].{error}") from error

        def predict(pokes: np.ndarray, points: np.ndarray) -> MotionMixture:
            return self._predict_batch(context, pokes, points, camera_moving)

        return evaluation_steps(predict, sets, points, goals, tolerance, return_motions)

    def sample(
        self,
        context: ImageContext,
        pokes: Float[np.ndarray, "p 4"],
        points: Float[np.ndarray, "n 2"],
        samples: int = 1,
        seed: int | None = None,
        camera_moving: bool = False,
    ) -> Float[np.ndarray, "s n 2"]:
        """Joint samples of all points' displacements, pixels: each agrees with itself.

        Raises:
            ValueError: as `predict`; also no point, or less than one sample.
        """
        return finish(self.sample_steps(context, pokes, points, samples, seed, camera_moving))

    def sample_steps(
        self,
        context: ImageContext,
        pokes: Float[np.ndarray, "p 4"],
        points: Float[np.ndarray, "n 2"],
        samples: int = 1,
        seed: int | None = None,
        camera_moving: bool = False,
    ) -> Steps[Float[np.ndarray, "s n 2"]]:
        """As `sample`, in steps of one point of some samples; each yields how many those are."""
        pokes, points = _as_pokes(pokes), _as_points(points)
        check_pokes(pokes, context.width, context.height)
        check_points(points, context.width, context.height)
        if samples < 1 or not len(points):
            raise ValueError(f"{samples} samples of {len(points)} points: at least 1 of each")

        def begin(rows: int, order: np.ndarray, draw: Draw) -> Iterator[torch.Tensor]:
            return self.model.sample_in_turn(
                *self._poke_tensors(context, np.repeat(pokes[None], rows, 0)),
                self._tensor(context.view.to_unit(points[order])).expand(rows, -1, -1),
                not camera_moving,
                context.embedded,
                draw,
            )

        unit = np.asarray(context.view.sides, np.float32)
        return sampling_steps(begin, len(pokes), len(points), samples, seed, unit)

    @property
    def motion_threshold(self) -> float:
        """Divergence above which a point is part of what moves, nats."""
        return self.model.config.motion_threshold

    def segment(
        self, context: ImageContext, pokes: Float[np.ndarray, "p 4"], camera_moving: bool = False
    ) -> MovingPart:
        """What moves along with the pokes, for every pixel of the image.

        Raises:
            ValueError: as `predict`; also no poke.
        """
        return finish(self.segment_steps(context, pokes, camera_moving))

    def segment_steps(
        self, context: ImageContext, pokes: Float[np.ndarray, "p 4"], camera_moving: bool = False
    ) -> Steps[MovingPart]:
        """As `segment`, in steps of bounded time and memory."""
        pokes = _as_pokes(pokes)
        if not len(pokes):
            raise ValueError("pokes is empty: at least 1 is needed")

        def predict(points: np.ndarray) -> tuple[MotionMixture, MotionMixture]:
            poked = self.predict(context, pokes, points, camera_moving)
            return poked, self.predict(context, np.zeros((0, 4)), points, camera_moving)

        return segmentation_steps(predict, context.view, self.motion_threshold)

    @torch.inference_mode()
    def _predict_batch(
        self,
        context: ImageContext,
        pokes: Float[np.ndarray, "m p 4"],
        points: Float[np.ndarray, "n 2"],
        camera_moving: bool,
    ) -> MotionMixture:
        query_pos = self._tensor(context.view.to_unit(points)).expand(len(pokes), -1, -1)
        mixture = self.model.predict_parallel(
            *self._poke_tensors(context, pokes), query_pos, not camera_moving, context.embedded
        )
        return mixture.to("cpu").scaled(torch.tensor(context.view.sides))

    def _poke_tensors(
        self, context: ImageContext, pokes: Float[np.ndarray, "m p 4"]
    ) -> tuple[Float[torch.Tensor, "m p 2"], Float[torch.Tensor, "m p 2"]]:
        """Positions and flows in the model's units."""
        pos = context.view.to_unit(pokes[..., :2])
        flow = context.view.flow_to_unit(pokes[..., 2:])
        return self._tensor(pos), self._tensor(flow)

    def _tensor(self, values: Float[np.ndarray, "..."]) -> Float[torch.Tensor, "..."]:
        tensor = torch.from_numpy(values.astype(np.float32))
        return tensor.to(self.model.device, non_blocking=True)


def _check_fit(fit: str) -> None:
    if fit not in FITS:
        raise ValueError(f"fit is {fit!r}: must be one of {', '.join(FITS)}")


def _info(model: FlowPokeTransformer) -> ModelInfo:
    config, origin = model.config, model.provenance
    return ModelInfo(
        checkpoint=origin.source if origin else "",
        sha256=origin.sha256 if origin else "",
        license=origin.license if origin else config.license,
        device=str(model.device),
        dtype=str(model.dtype).removeprefix("torch."),
        horizon=float(config.horizon),
        components=config.components,
        view_size=config.image_size,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )


def _as_pokes(pokes: Float[np.ndarray, "p 4"]) -> Float[np.ndarray, "p 4"]:
    pokes = np.asarray(pokes, np.float64)
    return pokes.reshape(0, 4) if pokes.size == 0 else pokes


def _as_points(points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    points = np.asarray(points, np.float64)
    return points.reshape(0, 2) if points.size == 0 else points


def _empty_mixture(components: int) -> MotionMixture:
    shape = (0, components)
    empty = [torch.zeros(*shape, *rest, dtype=torch.float64) for rest in ((), (2,), (2, 2))]
    return MotionMixture(*empty)
