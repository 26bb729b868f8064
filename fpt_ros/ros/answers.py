"""What the worker does for each request, in steps. Runs in the worker's thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fpt_ros.action import SampleMotion
from fpt_ros.msg import ErrorCode, MotionSamples
from fpt_ros.ros.conversions import (
    divergence_to_message,
    floats,
    mask_to_message,
    motion_to_message,
    seconds_to_duration,
)
from fpt_ros.ros.inference import check_inside, grid_if_empty
from fpt_ros.ros.requests import (
    RequestError,
    check_tolerance,
    error_response,
    invalid,
    named,
    read_candidates,
    read_goals,
    read_points,
    read_pokes,
)
from fpt_ros.srv import EvaluatePokes, PredictMotion, SegmentMotion

if TYPE_CHECKING:
    from collections.abc import Callable

    from fpt_ros.inference.steps import Result, Steps
    from fpt_ros.ros.inference import Inference
    from fpt_ros.ros.node import FptNode
    from fpt_ros.ros.parameters import Settings

NO_POKES = np.zeros((0, 4), np.float32)
NO_POINTS = np.zeros((0, 2), np.float32)
RANDOM = -1  # as a seed
# Mixtures of evaluate_pokes and displacements of sample_motion: bounds an answer's memory.
ANSWERS_PER_QUERY = 16


class Answers:
    """The answer to each kind of request; RequestError for one that cannot be served."""

    def __init__(self, node: FptNode, inference: Inference) -> None:
        self._node = node
        self._inference = inference

    def predict_motion(self, request: PredictMotion.Request) -> Steps[PredictMotion.Response]:
        settings = self._node.settings
        pokes = read_pokes(request.pokes)
        points = read_points(request.x, request.y, settings.max_queries)
        frame = self._node.frames.find(request.stamp)
        check_inside(pokes, points, *self._node.frames.size_of(frame))
        motion = yield from self._inference.motion(
            frame, pokes, points, settings, request.camera_moving
        )
        return PredictMotion.Response(motion=motion_to_message(motion, frame.header))

    def evaluate_pokes(self, request: EvaluatePokes.Request) -> Steps[EvaluatePokes.Response]:
        settings = self._node.settings
        candidates = read_candidates(request.candidates, settings.max_candidates)
        points = read_points(request.x, request.y, settings.max_queries)
        if not len(points):
            raise invalid("x is empty: a goal needs at least 1 point")
        goals = read_goals(request.goal_dx, request.goal_dy, len(points))
        check_tolerance(request.tolerance)
        if request.return_motions:
            count = len(candidates) * len(points)
            what = f"return_motions: candidates ({len(candidates)}) x points ({len(points)})"
            _check_product(what, count, settings)
        frame = self._node.frames.find(request.stamp)
        size = self._node.frames.size_of(frame)
        check_inside(NO_POKES, points, *size)
        for i, pokes in enumerate(candidates):
            named(f"candidates[{i}].", check_inside, pokes, NO_POINTS, *size)
        evaluation, motions = yield from self._inference.evaluate(
            frame,
            candidates,
            points,
            goals,
            request.tolerance,
            settings,
            request.camera_moving,
            request.return_motions,
        )
        return EvaluatePokes.Response(
            log_likelihood=floats(evaluation.log_likelihood),
            probability=floats(evaluation.probability),
            expected_error=floats(evaluation.expected_error),
            best=evaluation.best,
            motions=[motion_to_message(motion, frame.header) for motion in motions],
        )

    def segment_motion(self, request: SegmentMotion.Request) -> Steps[SegmentMotion.Response]:
        pokes = read_pokes(request.pokes)
        if not len(pokes):
            raise invalid("pokes is empty: at least 1 is needed")
        frame = self._node.frames.find(request.stamp)
        check_inside(pokes, NO_POINTS, *self._node.frames.size_of(frame))
        part = yield from self._inference.segment(frame, pokes, request.camera_moving)
        return SegmentMotion.Response(
            divergence=divergence_to_message(part.divergence, frame.header),
            mask=mask_to_message(part.moves, frame.header),
        )

    def sample_motion(
        self, goal: SampleMotion.Goal, report: Callable[[int, int], None]
    ) -> Steps[SampleMotion.Result]:
        """`report` is told how many points have been sampled, and of how many."""
        settings = self._node.settings
        pokes = read_pokes(goal.pokes)
        points = read_points(goal.x, goal.y, settings.max_queries)
        frame = self._node.frames.find(goal.stamp)
        width, height = self._node.frames.size_of(frame)
        check_inside(pokes, points, width, height)
        points, grid = grid_if_empty(points, frame, settings)
        total = goal.samples * len(points)
        if goal.samples < 1:
            raise invalid("samples is 0: must be at least 1")
        _check_product(f"samples ({goal.samples}) x points ({len(points)})", total, settings)
        displacements = yield from self._inference.sample(
            frame,
            pokes,
            points,
            goal.samples,
            None if goal.seed == RANDOM else goal.seed,
            goal.camera_moving,
            lambda done: report(done, total),
        )
        motion = MotionSamples(
            header=frame.header,
            horizon=seconds_to_duration(self._inference.horizon(settings)),
            image_width=width,
            image_height=height,
            pokes=goal.pokes,
            camera_moving=goal.camera_moving,
            grid_width=grid[0],
            grid_height=grid[1],
            x=floats(points[:, 0]),
            y=floats(points[:, 1]),
            samples=goal.samples,
            displacements=floats(displacements),
        )
        return SampleMotion.Result(motion=motion)

    def guarded(self, response_type: type, steps: Steps[Result]) -> Steps[Any]:
        """The steps' result, or a response with the error that they ended with."""
        try:
            return (yield from steps)
        except RequestError as error:
            code, message = error.code, str(error)
        except Exception as error:
            self._node.fail(error)
            code, message = ErrorCode.PREDICTION_FAILED, f"{type(error).__name__}: {error}"
        return error_response(response_type, code, message)


def _check_product(what: str, count: int, settings: Settings) -> None:
    allowed = ANSWERS_PER_QUERY * settings.max_queries
    if count > allowed:
        raise RequestError(
            ErrorCode.TOO_LARGE,
            f"{what} is {count}: at most {allowed} are allowed "
            f"({ANSWERS_PER_QUERY} x parameter max_queries)",
        )
