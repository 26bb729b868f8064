# SPDX-License-Identifier: Apache-2.0
"""Questions in metres: depth beside images, joints of pokes, and what a push was seen to do."""

from __future__ import annotations

import functools

import board
import numpy as np
import pytest
from engine_harness import frame

from fpt_ros.engine.depth_image import Depth
from fpt_ros.engine.errors import ErrorCode, RequestError
from fpt_ros.engine.joints import Question3D, observe_motion, predict_3d
from fpt_ros.geometry import JointFlag, JointKind
from fpt_ros.inference.steps import finish

NONE_3D, NO_POKES, NO_POINTS = np.zeros((0, 6)), np.zeros((0, 4), np.float32), np.zeros((0, 2))
TURN, SLIDE = board.turned(0.35), board.slid(0.04)


def depth(stamp: tuple[int, int], metres: np.ndarray) -> Depth:
    return Depth(stamp, functools.partial(np.asarray, metres))


def see(engine, second: int, motion=board.STILL) -> None:
    image, metres = board.draw(motion)
    engine.add_image(frame(second, image))
    engine.add_depth(depth((second, 0), metres))


@pytest.fixture
def looking(engine):
    """An engine that has seen the board, with its depth and camera."""
    engine.read_camera = lambda: board.CAMERA
    see(engine, 1000)
    return engine


def question(motion=TURN, count: int = 4, **changes) -> Question3D:
    pokes = board.in_pixels(board.pokes(motion, count))
    given = {"pokes": pokes, "pokes_3d": NONE_3D, "points": NO_POINTS, "mask": board.mask()}
    return Question3D(**given | changes)


def angle(axis: np.ndarray, true: np.ndarray) -> float:
    return float(np.degrees(np.arccos(min(abs(axis @ true), 1.0))))


def refused(steps) -> RequestError:
    with pytest.raises(RequestError) as caught:
        finish(steps)
    return caught.value


@pytest.mark.parametrize("in_space", [False, True])
def test_pokes_of_a_hinge(looking, in_space):
    """As pixels or in metres; the displacements are those of the true motion."""
    pokes = board.pokes(TURN)
    asked = question(points=np.array([[150.0, 120], [200, 110]], np.float32))
    if in_space:
        asked = question(pokes=NO_POKES, pokes_3d=pokes, points=asked.points)
    motion = finish(predict_3d(looking, (0, 0), asked))
    best = motion.joints[0]
    assert (best.kind, motion.refusal) == (JointKind.REVOLUTE, "")
    assert angle(best.axis, board.TILT[:, 1]) < 3
    assert abs(best.travel) == pytest.approx(0.35, abs=0.03)
    rotation, shift = TURN
    true = motion.positions @ (rotation - np.eye(3)).T + shift
    np.testing.assert_allclose(motion.means, true, atol=0.006)
    assert (np.linalg.eigvalsh(motion.covariances) > -1e-12).all()
    np.testing.assert_allclose(motion.handle, pokes[0, :3], atol=0.005)
    assert motion.header == "header 1000"


def test_pokes_of_a_slide_on_the_predicted_part(looking):
    """The mask of untrained weights is worth nothing, but four pokes do not need it."""
    motion = finish(predict_3d(looking, (0, 0), question(SLIDE, mask=None)))
    kinds = [joint.kind for joint in motion.joints]
    assert JointKind.PRISMATIC in kinds
    slide = motion.joints[kinds.index(JointKind.PRISMATIC)]
    assert angle(slide.axis, board.TILT[:, 2]) < 10


def test_one_poke_is_no_joint_unless_the_kind_is_known(looking):
    motion = finish(predict_3d(looking, (0, 0), question(SLIDE, 1)))
    assert "one poke" in motion.refusal
    assert motion.joints[0].flags & JointFlag.ONE_POKE
    assert not len(motion.means)
    known = question(SLIDE, 1, kind=JointKind.PRISMATIC)
    found = finish(predict_3d(looking, (0, 0), known))
    assert {joint.kind for joint in found.joints} == {JointKind.PRISMATIC}


def test_hypotheses_that_disagree_are_no_answer(looking):
    """Two short pokes side by side are explained by joints that move the part otherwise."""
    rotation, shift = board.turned(0.1)
    start = (
        board.CENTRE + np.array([[0.3, -0.1], [0.28, -0.098]]) * board.SIZE @ board.TILT[:, :2].T
    )
    pokes = np.hstack([start, start @ (rotation - np.eye(3)).T + shift])
    motion = finish(predict_3d(looking, (0, 0), question(pokes=board.in_pixels(pokes))))
    assert "move the part otherwise" in motion.refusal
    assert motion.joints[0].flags & JointFlag.HYPOTHESES_DISAGREE
    assert not len(motion.means)


def test_points_without_depth_are_not_numbers(engine):
    engine.read_camera = lambda: board.CAMERA
    image, metres = board.draw()
    metres[100:141, 130:171] = np.nan
    engine.add_image(frame(1000, image))
    engine.add_depth(depth((1000, 0), metres))
    pokes = board.in_pixels(board.pokes(TURN, 12))
    points = np.array([[150.0, 120], [200, 110]], np.float32)
    motion = finish(predict_3d(engine, (0, 0), question(pokes=pokes, points=points)))
    for array in (motion.positions, motion.means, motion.covariances):
        assert np.isnan(array[0]).all()
        assert np.isfinite(array[1]).all()


def test_what_cannot_be_asked_is_named(engine):
    image, metres = board.draw()
    engine.add_image(frame(1000, image))
    error = refused(predict_3d(engine, (0, 0), question()))
    assert (error.code, "camera_info" in str(error)) == (ErrorCode.NO_IMAGE, True)
    engine.read_camera = lambda: board.CAMERA
    error = refused(predict_3d(engine, (0, 0), question()))
    assert (error.code, "no depth" in str(error)) == (ErrorCode.NO_IMAGE, True)
    engine.add_depth(depth((1000, 0), metres[::2, ::2]))
    error = refused(predict_3d(engine, (0, 0), question()))
    assert error.code == ErrorCode.INVALID_REQUEST
    assert "160 x 120: must be as large as the image, 320 x 240" in str(error)
    engine.add_depth(depth((1000, 0), metres))
    error = refused(predict_3d(engine, (0, 0), question(pokes=NO_POKES)))
    assert "at least 1 poke" in str(error)
    error = refused(predict_3d(engine, (0, 0), question(mask=board.mask()[::2])))
    assert "mask is 320 x 120" in str(error)
    behind = np.array([[0, 0, -1.0, 0, 0, 0]])
    error = refused(predict_3d(engine, (0, 0), question(pokes_3d=behind)))
    assert "pokes_3d[0]" in str(error)
    aside = np.array([[5.0, 0, 1, 0, 0, 0]])
    error = refused(predict_3d(engine, (0, 0), question(pokes_3d=aside)))
    assert "pokes_3d" in str(error)


def test_depth_belongs_to_the_image_of_the_nearest_stamp(engine):
    """Within the tolerance (0.02 s), whichever comes first."""
    early, late, far = (depth((1000, ns), np.ones((2, 2))) for ns in (0, 15_000_000, 900_000_000))
    engine.add_depth(early)
    first, second = frame(1000), frame(1001)
    first.stamp = (1000, 10_000_000)
    engine.add_image(first)
    assert first.depth is early
    engine.add_depth(far)
    assert first.depth is early
    engine.add_depth(late)
    assert first.depth is late
    engine.add_image(second)
    assert second.depth is None


@pytest.mark.parametrize(
    "motion, kind, axis",
    [(board.slid(0.03), JointKind.PRISMATIC, 2), (board.turned(0.15), JointKind.REVOLUTE, 1)],
)
def test_a_push_that_was_seen(looking, predictor, motion, kind, axis):
    see(looking, 1001, motion)
    pokes = board.in_pixels(board.pokes(motion, 1))
    seen = finish(observe_motion(looking, (1000, 0), (0, 0), pokes, JointKind.UNKNOWN, None))
    assert (seen.refusal, seen.joints[0].kind) == ("", kind)
    assert angle(seen.joints[0].axis, board.TILT[:, axis]) < 3
    rotation, shift = motion
    at = np.round(seen.points).astype(int)
    on = board.mask()[at[:, 1], at[:, 0]]
    assert on.sum() > 80  # the others are those that untrained weights foretell to move
    start = board.CAMERA.unproject(seen.points[on], board.draw()[1][at[on, 1], at[on, 0]])
    true = board.CAMERA.project(start @ rotation.T + shift) - seen.points[on]
    assert np.median(np.linalg.norm(seen.shifts[on] - true, axis=1)) < 0.3
    context = predictor.embed(board.draw()[0])
    foretold = predictor.predict(context, pokes, seen.points)
    likely = foretold.log_prob(foretold.mean.new_tensor(seen.shifts)).numpy()
    np.testing.assert_allclose(seen.log_likelihood, likely, rtol=1e-3, atol=1e-3)
    expected = (-likely - foretold.entropy().numpy()).mean()
    assert seen.surprise == pytest.approx(expected, abs=1e-2)
    assert seen.header == "header 1000"


def test_nothing_that_moved_is_no_joint(looking):
    see(looking, 1001)
    pokes = board.in_pixels(board.pokes(SLIDE, 1))
    seen = finish(observe_motion(looking, (1000, 0), (1001, 0), pokes, JointKind.UNKNOWN, None))
    assert seen.refusal
    assert not seen.joints
    assert len(seen.points) == len(seen.shifts) == len(seen.log_likelihood) > 0
    same = observe_motion(looking, (1001, 0), (0, 0), pokes, JointKind.UNKNOWN, None)
    assert "must be two images" in str(refused(same))
    gone = observe_motion(looking, (5, 0), (0, 0), pokes, JointKind.UNKNOWN, None)
    assert refused(gone).code == ErrorCode.IMAGE_NOT_KEPT
