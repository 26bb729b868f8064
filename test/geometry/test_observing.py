# SPDX-License-Identifier: Apache-2.0
"""From two pictures of a textured plate, before and after, to its joint."""

import cv2
import numpy as np
import pytest

from fpt_ros.geometry import Camera, JointKind, NoJoint, depth_at, observe, observe_joints
from fpt_ros.geometry.aligning import Alignment
from fpt_ros.geometry.motions import Free, Hinge, Slide, inverse, rotations
from fpt_ros.geometry.observing import follow

CAMERA = Camera(400, 400, 159.5, 119.5, 320, 240)
PLATE = np.array([[-0.15, -0.12, 0.8], [0.15, -0.12, 0.8], [0.15, 0.12, 0.8], [-0.15, 0.12, 0.8]])
WALL = 1.0


def texture(seed, shape):
    noise = np.random.default_rng(seed).integers(0, 255, [side // 6 for side in shape])
    grey = cv2.resize(noise.astype(np.uint8), shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.repeat(grey[..., None], 3, axis=2)


def picture(corners):
    """The plate before a wall, and depth [m]."""
    pixels = CAMERA.project(corners).astype(np.float32)
    paint = texture(1, (240, 300))
    edges = np.array([[0, 0], [299, 0], [299, 239], [0, 239]], np.float32)
    to_image = cv2.getPerspectiveTransform(edges, pixels)
    shown = cv2.warpPerspective(paint, to_image, (320, 240))
    mask = np.zeros((240, 320), np.uint8)
    cv2.fillConvexPoly(mask, np.round(pixels).astype(np.int32), 1)
    image = np.where(mask[..., None] > 0, shown, texture(2, (240, 320)))
    normal = np.cross(corners[1] - corners[0], corners[3] - corners[0])
    columns, rows = np.meshgrid(np.arange(320), np.arange(240))
    rays = np.stack([(columns - 159.5) / 400, (rows - 119.5) / 400, np.ones((240, 320))], -1)
    depth = np.where(mask > 0, (corners[0] @ normal) / (rays @ normal), WALL)
    return image, depth.astype(np.float32)


def seen(moved):
    before, after = picture(PLATE), picture(moved)
    return observe(CAMERA, before[0], after[0], before[1], after[1])


def test_a_slide_is_seen():
    shift = np.array([0.03, 0.0, -0.02])
    found = seen(PLATE + shift)
    assert not found.reason and found.moved.sum() > 60
    best = found.joints[0]
    assert best.kind == JointKind.PRISMATIC
    np.testing.assert_allclose(best.axis * best.travel, shift, atol=0.004)


def test_a_hinge_is_seen():
    [turn] = rotations(np.array([[0, 0.2, 0]]))
    best = seen((PLATE - PLATE[0]) @ turn.T + PLATE[0]).joints[0]
    assert best.kind == JointKind.REVOLUTE
    assert best.axis[1] > np.cos(np.radians(5))
    assert np.linalg.norm((best.origin - PLATE[0])[[0, 2]]) < 0.02
    assert best.travel == pytest.approx(0.2, rel=0.1)


def test_where_nothing_moves_there_is_a_reason():
    found = seen(PLATE)
    assert not found.joints and "followed" in found.reason


def test_followed_points_are_right_and_plain_ones_are_lost():
    before, after = picture(PLATE)[0], picture(PLATE + np.array([0.02, 0, 0]))[0]
    points = np.array([[120.0, 100], [180, 130], [5, 5]])
    shifts, good = follow(before, after, points)
    assert good.all()
    np.testing.assert_allclose(shifts, [[10, 0], [10, 0], [0, 0]], atol=0.3)
    plain = np.full_like(before, 90)
    assert not follow(plain, plain, points)[1].any()


def test_pictures_and_depth_are_of_one_size():
    image, depth = picture(PLATE)
    with pytest.raises(ValueError, match="must be as the camera's 320 x 240"):
        observe(CAMERA, image, image, depth[:100])
    assert np.isfinite(depth_at(depth, np.array([[0, 0]]))).all()


def plain_picture(corners):
    """A plate and a wall of one colour each: there is nothing to follow but outlines."""
    _, depth = picture(corners)
    image = np.where(depth[..., None] != WALL, (60, 120, 200), (190, 180, 170)).astype(np.uint8)
    rng = np.random.default_rng(3)
    return image, (depth + rng.normal(0, 0.002, depth.shape)).astype(np.float32)


def seen_plain(moved):
    before, after = plain_picture(PLATE), plain_picture(moved)
    found = observe(CAMERA, before[0], after[0], before[1], after[1])
    points = np.column_stack([found.points[found.moved], found.shifts[found.moved]])
    with pytest.raises(NoJoint):
        observe_joints(CAMERA, points[:, :2], points[:, :2] + points[:, 2:], before[1], after[1])
    return found.joints[0]


def test_a_slide_of_a_plain_plate_is_seen():
    shift = np.array([0.03, 0.0, -0.02])
    best = seen_plain(PLATE + shift)
    assert best.kind == JointKind.PRISMATIC
    np.testing.assert_allclose(best.axis * best.travel, shift, atol=0.004)
    assert best.points >= 40


def test_a_hinge_of_a_plain_plate_is_seen():
    [turn] = rotations(np.array([[0, 0.2, 0]]))
    best = seen_plain((PLATE - PLATE[0]) @ turn.T + PLATE[0])
    assert best.kind == JointKind.REVOLUTE
    assert best.axis[1] > np.cos(np.radians(5))
    assert np.linalg.norm((best.origin - PLATE[0])[[0, 2]]) < 0.02
    assert best.travel == pytest.approx(0.2, rel=0.1)


@pytest.mark.parametrize("motion", [Slide(), Hinge(), Free()])
def test_inverse_motions_lead_back(motion):
    rng = np.random.default_rng(0)
    parameters, points = rng.normal(0, 0.5, (3, motion.count)), rng.normal(0, 1, (5, 3))
    there = motion.moved(parameters, points)
    back = inverse(motion, parameters)
    for number in range(3):
        again = motion.moved(back[number : number + 1], there[number])[0]
        np.testing.assert_allclose(again, points, atol=1e-9)


def pattern(shift):
    """A wall that looks the same every 40 pixels, and its depth [m]."""
    columns, rows = np.meshgrid(np.arange(320), np.arange(240))
    grey = 127 + 60 * np.sin((columns - shift) * np.pi / 20) * np.sin(rows * np.pi / 20)
    image = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    return image, np.full((240, 320), 0.8, np.float32)


@pytest.mark.parametrize("went", [25, -15])
def test_where_a_poke_went_decides_between_motions_that_look_alike(went):
    before, after = pattern(0), pattern(25)
    poke = np.array([[160.0, 120, went, 0]])
    images, depths = zip(before, after, strict=True)
    best = observe(CAMERA, *images, *depths, poke, kind=JointKind.PRISMATIC).joints[0]
    np.testing.assert_allclose(best.axis * best.travel, [went * 0.8 / 400, 0, 0], atol=0.006)


@pytest.mark.parametrize("motion", [Slide(), Free(), Hinge()], ids=["slide", "free", "hinge"])
def test_slopes_of_the_cost_are_those_of_differences(motion):
    images, depths = zip(pattern(0), pattern(6), strict=True)
    alignment = Alignment(CAMERA, images, depths, np.array([[120.0, 100, 6, 2]]))
    at = np.array([[0.01, 0.02, -0.01, 0.005, 0.004, 0.002]])[:, -motion.count :]
    _, gradient, _ = alignment._slopes(motion, at, level=1)
    step = 1e-5 * np.eye(motion.count)
    up, down = (alignment.costs(motion, at + way, level=1) for way in (step, -step))
    differences = (up - down) / 2e-5
    assert np.linalg.norm(gradient[0] - differences) < 0.02 * np.linalg.norm(differences)
