# SPDX-License-Identifier: Apache-2.0
"""Requests to the engine's questions, and its answers to messages, in steps.

All runs in the engine's thread, the reading of large requests included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fpt_ros.action import SampleMotion
from fpt_ros.engine.questions import read_candidates, read_goals, read_points, read_pokes
from fpt_ros.msg import MotionSamples
from fpt_ros.ros.conversions import (
    divergence_to_message,
    floats,
    mask_to_message,
    motion_to_message,
    seconds_to_duration,
    stamp_of,
)
from fpt_ros.srv import EvaluatePokes, PredictMotion, SegmentMotion

if TYPE_CHECKING:
    from collections.abc import Callable

    from fpt_ros.engine.engine import Engine
    from fpt_ros.inference.steps import Steps

DRAWN_ANEW = 0  # as a seed


def predict_motion(engine: Engine, request: PredictMotion.Request) -> Steps[PredictMotion.Response]:
    pokes = read_pokes(request.pokes)
    points = read_points(request.x, request.y, engine.settings.max_queries)
    motion = yield from engine.predict(stamp_of(request), pokes, points, request.camera_moving)
    return PredictMotion.Response(motion=motion_to_message(motion, motion.header))


def evaluate_pokes(engine: Engine, request: EvaluatePokes.Request) -> Steps[EvaluatePokes.Response]:
    candidates = read_candidates(request.candidates, engine.settings.max_candidates)
    points = read_points(request.x, request.y, engine.settings.max_queries)
    evaluation, motions = yield from engine.evaluate(
        stamp_of(request),
        candidates,
        points,
        read_goals(request.goal_dx, request.goal_dy, len(points)),
        request.tolerance,
        request.camera_moving,
        request.return_motions,
    )
    return EvaluatePokes.Response(
        log_likelihood=floats(evaluation.log_likelihood),
        probability=floats(evaluation.probability),
        expected_error=floats(evaluation.expected_error),
        best=evaluation.best,
        motions=[motion_to_message(motion, motion.header) for motion in motions],
    )


def segment_motion(engine: Engine, request: SegmentMotion.Request) -> Steps[SegmentMotion.Response]:
    pokes = read_pokes(request.pokes)
    part, frame = yield from engine.segment(stamp_of(request), pokes, request.camera_moving)
    return SegmentMotion.Response(
        divergence=divergence_to_message(part.divergence, frame.header),
        mask=mask_to_message(part.moves, frame.header),
    )


def sample_motion(
    engine: Engine, goal: SampleMotion.Goal, report: Callable[[int, int], None]
) -> Steps[SampleMotion.Result]:
    """`report` is told how many points have been sampled, and of how many."""
    samples = yield from engine.sample(
        stamp_of(goal),
        read_pokes(goal.pokes),
        read_points(goal.x, goal.y, engine.settings.max_queries),
        goal.samples,
        None if goal.seed == DRAWN_ANEW else goal.seed,
        goal.camera_moving,
        report,
    )
    motion = MotionSamples(
        header=samples.header,
        horizon=seconds_to_duration(samples.horizon),
        image_width=samples.image_size[0],
        image_height=samples.image_size[1],
        pokes=goal.pokes,
        camera_moving=goal.camera_moving,
        grid_width=samples.grid[0],
        grid_height=samples.grid[1],
        x=floats(samples.points[:, 0]),
        y=floats(samples.points[:, 1]),
        samples=goal.samples,
        displacements=floats(samples.displacements),
    )
    return SampleMotion.Result(motion=motion)
