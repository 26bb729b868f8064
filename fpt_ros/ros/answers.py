"""What the worker does for each request, in steps. Runs in the worker's thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fpt_ros.msg import ErrorCode
from fpt_ros.ros.conversions import floats, motion_to_message
from fpt_ros.ros.inference import check_inside
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
from fpt_ros.srv import EvaluatePokes, PredictMotion

if TYPE_CHECKING:
    from fpt_ros.ros.inference import Inference
    from fpt_ros.ros.node import FptNode
    from fpt_ros.steps import Result, Steps

NO_POKES = np.zeros((0, 4), np.float32)
NO_POINTS = np.zeros((0, 2), np.float32)
MOTIONS_PER_QUERY = 16


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
            _check_motions(len(candidates), len(points), settings.max_queries)
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

    def guarded(self, response_type: type, steps: Steps[Result]) -> Steps[Any]:
        """The steps' result, or a response with the error that they ended with."""
        try:
            return (yield from steps)
        except RequestError as error:
            code, message = error.code, str(error)
        except Exception as error:
            self._node.fail(error)
            code, message = ErrorCode.PREDICTION_FAILED, f"{type(error).__name__}: {error}"
        self._node.statistics.count("request errors")
        return error_response(response_type, code, message)


def _check_motions(candidates: int, points: int, max_queries: int) -> None:
    """Each candidate's motions of every point would fill the memory long before the rest does."""
    allowed = MOTIONS_PER_QUERY * max_queries
    if candidates * points > allowed:
        raise RequestError(
            ErrorCode.TOO_LARGE,
            f"return_motions with {candidates} candidates x {points} points asks for "
            f"{candidates * points} motions: at most {allowed} are allowed "
            f"({MOTIONS_PER_QUERY} x parameter max_queries)",
        )
