# SPDX-License-Identifier: Apache-2.0
"""Joints from pokes and from what was seen, on a plate of known joint before a camera."""

from types import SimpleNamespace

import numpy as np
import pytest

from fpt_ros.geometry import (
    Camera,
    JointFlag,
    JointKind,
    NoJoint,
    depth_at,
    displacements,
    fit_joints,
    observe_joints,
)
from fpt_ros.geometry.choosing import _root_mean_square
from fpt_ros.geometry.motions import Free, Hinge, Slide, hinge_of, rotation_vector, rotations

CAMERA = Camera(600, 600, 319.5, 239.5, 640, 480)
NORMAL = np.array([0.3, 0.2, -1]) / np.linalg.norm([0.3, 0.2, -1])
EDGE = np.cross(NORMAL, [1, 0, 0]) / np.linalg.norm(np.cross(NORMAL, [1, 0, 0]))
COLUMNS, ROWS = np.meshgrid(np.arange(640), np.arange(480))
MASK = (COLUMNS > 200) & (COLUMNS < 400) & (ROWS > 150) & (ROWS < 330)


def plate():
    """Depth of a plane one metre away, tilted."""
    rays = np.stack([(COLUMNS - 319.5) / 600, (ROWS - 239.5) / 600, np.ones((480, 640))], -1)
    return (NORMAL[2] / (rays @ NORMAL)).astype(np.float32)


DEPTH = plate()
PIVOT = CAMERA.unproject(np.array([[200.0, 240.0]]), DEPTH[240, 200:201])[0]
HINGE = np.array([[*(0.3 * EDGE), *PIVOT]])
SLIDE = np.array([[*(0.06 * NORMAL)]])
PLACES = np.array([[220, 170], [380, 300], [230, 310], [390, 180]], float)


def places(count, rng):
    return rng.uniform([205, 155], [395, 325], (count, 2)).round()


def moved(motion, parameters, pixels):
    """Points and where the motion takes them."""
    points = CAMERA.unproject(pixels, depth_at(DEPTH, pixels))
    return points, motion.moved(parameters, points)[0]


def poke(motion, parameters, pixels):
    _, end = moved(motion, parameters, pixels)
    return np.hstack([pixels, CAMERA.project(end) - pixels])


def degrees_between(one, other):
    return np.degrees(np.arccos(min(abs(one @ other) / np.linalg.norm(other), 1)))


def off_axis(joint, point, axis):
    apart = joint.origin - point
    return np.linalg.norm(apart - axis * (apart @ axis))


@pytest.mark.parametrize("motion", [Slide(), Hinge(), Free()])
def test_jacobians_are_those_of_small_changes(motion):
    rng = np.random.default_rng(0)
    parameters, points = rng.normal(0, 0.5, (3, motion.count)), rng.normal(0, 1, (5, 3))
    jacobian = motion.jacobian(parameters, points)
    for k, step in enumerate(1e-6 * np.eye(motion.count)):
        change = motion.moved(parameters + step, points) - motion.moved(parameters - step, points)
        np.testing.assert_allclose(jacobian[..., k], change / 2e-6, atol=1e-7)


def test_a_screw_without_pitch_is_a_hinge():
    [turn] = rotations(HINGE[:, :3])
    np.testing.assert_allclose(rotation_vector(turn), HINGE[0, :3], atol=1e-12)
    free = np.concatenate([HINGE[0, :3], PIVOT - turn @ PIVOT])[None]
    points = np.random.default_rng(0).normal(0, 1, (4, 3))
    np.testing.assert_allclose(
        Hinge().moved(hinge_of(free), points), Hinge().moved(HINGE, points), atol=1e-9
    )


def test_four_pokes_show_a_hinge():
    best, *others = fit_joints(CAMERA, DEPTH, poke(Hinge(), HINGE, PLACES), MASK)
    assert best.kind == JointKind.REVOLUTE
    assert degrees_between(best.axis, EDGE) < 2
    assert off_axis(best, PIVOT, EDGE) < 0.02
    assert JointKind.PRISMATIC in {joint.kind for joint in others}
    points, end = moved(Hinge(), HINGE, PLACES)
    assert np.abs(best.move(points) - (end - points)).max() < 0.005


def test_two_pokes_show_a_slide():
    best = fit_joints(CAMERA, DEPTH, poke(Slide(), SLIDE, PLACES[:2]), MASK)[0]
    assert best.kind == JointKind.PRISMATIC
    assert degrees_between(best.axis, NORMAL) < 3
    assert best.travel == pytest.approx(0.06, rel=0.1)


def test_pokes_in_space_know_depth():
    points, end = moved(Slide(), SLIDE, PLACES)
    pokes = np.hstack([points, end - points])
    best = fit_joints(CAMERA, DEPTH, np.empty((0, 4)), pokes_3d=pokes)[0]
    assert best.kind == JointKind.PRISMATIC
    assert degrees_between(best.axis, NORMAL) < 1
    assert best.travel == pytest.approx(0.06, rel=0.02)


def test_one_poke_shows_no_joint_but_a_slide_that_is_known_to_be_one():
    pokes = poke(Slide(), SLIDE, PLACES[:1])
    with pytest.raises(NoJoint, match="one poke") as refused:
        fit_joints(CAMERA, DEPTH, pokes, MASK)
    assert {joint.kind for joint in refused.value.joints} == {
        JointKind.PRISMATIC,
        JointKind.REVOLUTE,
    }
    best = fit_joints(CAMERA, DEPTH, pokes, MASK, kind=JointKind.PRISMATIC)[0]
    assert JointFlag.ONE_POKE in best.flags
    assert degrees_between(best.axis, NORMAL) < 6


def test_pokes_without_depth_are_refused_or_left_out():
    holes = DEPTH.copy()
    holes[160:180, 210:230] = np.nan
    pokes = poke(Hinge(), HINGE, PLACES)
    best = fit_joints(CAMERA, holes, pokes, MASK)[0]
    assert JointFlag.POKE_WITHOUT_DEPTH in best.flags
    with pytest.raises(NoJoint, match="depth"):
        fit_joints(CAMERA, np.full_like(DEPTH, np.nan), pokes, MASK)


def test_what_does_not_move_is_refused():
    still = np.hstack([PLACES, np.zeros_like(PLACES)])
    with pytest.raises(NoJoint, match="nothing moves"):
        fit_joints(CAMERA, DEPTH, still, MASK)
    with pytest.raises(NoJoint, match="no pokes"):
        fit_joints(CAMERA, DEPTH, np.empty((0, 4)), MASK)


@pytest.mark.parametrize(("motion", "truth"), [(Hinge(), HINGE), (Slide(), SLIDE)])
def test_what_was_seen_shows_the_joint(motion, truth):
    rng = np.random.default_rng(1)
    before = places(80, rng)
    points, end = moved(motion, truth, before)
    after = CAMERA.project(end) + rng.normal(0, 0.7, before.shape)
    after[:8] += rng.normal(0, 40, (8, 2))  # lost
    best = observe_joints(CAMERA, before, after, DEPTH)[0]
    kind = JointKind.REVOLUTE if isinstance(motion, Hinge) else JointKind.PRISMATIC
    axis = EDGE if isinstance(motion, Hinge) else NORMAL
    assert best.kind == kind
    assert degrees_between(best.axis, axis) < 5
    np.testing.assert_allclose(best.move(points), end - points, atol=0.008)
    mean, covariance = displacements([best], points)
    errors = mean - (end - points)
    squares = np.einsum("ni,nij,nj->n", errors, np.linalg.inv(covariance), errors)
    assert np.mean(squares < 11.3) > 0.8  # 99 % of three dimensions


def test_what_was_not_seen_to_move_is_refused():
    rng = np.random.default_rng(2)
    before = places(60, rng)
    after = before + rng.normal(0, 0.5, before.shape)
    with pytest.raises(NoJoint, match="nothing moved"):
        observe_joints(CAMERA, before, after, DEPTH)
    with pytest.raises(NoJoint, match="rigid"):
        observe_joints(CAMERA, before, places(60, rng), DEPTH)
    with pytest.raises(NoJoint, match="at least"):
        observe_joints(CAMERA, before[:4], after[:4], DEPTH)


def test_a_joint_can_be_followed():
    joint = fit_joints(CAMERA, DEPTH, poke(Hinge(), HINGE, PLACES), MASK)[0]
    points, end = moved(Hinge(), HINGE, PLACES)
    np.testing.assert_allclose(joint.move(points, joint.travel), joint.move(points), atol=1e-6)
    assert np.linalg.norm(joint.move(points, 0)) < 1e-12
    assert np.abs(joint.move(end, -joint.travel) + joint.move(points)).max() < 0.01


def test_what_is_left_counts_only_points_that_the_camera_sees():
    seen = SimpleNamespace(robust=np.ones(3, bool))
    assert _root_mean_square(np.array([9.0, np.nan, np.nan]), seen) == 3.0
    assert np.isnan(_root_mean_square(np.array([np.nan]), seen))
