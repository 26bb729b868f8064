# SPDX-License-Identifier: Apache-2.0
"""Which tracks are believed, in a picture in which a board slides and a shadow passes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fpt_ros.data import trusting
from fpt_ros.data.labels import label_figures
from fpt_ros.data.lucas_kanade import track_points
from fpt_ros.data.measuring import clip_labels
from fpt_ros.data.simulated import simulate
from fpt_ros.data.trusting import believed

SIDE, FRAMES, STEP = 160, 20, 2
BOARD, SHADOW = (slice(20, 60), 20), (slice(90, 130), 20)
"""Rows, and the first column at the start; both are 40 wide and go right."""


def texture(rng: np.random.Generator, contrast: float) -> np.ndarray:
    noise = cv2.GaussianBlur(rng.random((SIDE, SIDE)).astype(np.float32), (0, 0), 1.5)
    return 128 + contrast * (noise - noise.mean()) / noise.std()


@pytest.fixture(scope="module")
def clip():
    """Frames, and points on the board, at the shadow's edge, and beside the board's outline."""
    rng = np.random.default_rng(0)
    ground, board = texture(rng, 3), texture(rng, 35)[:40, :40]
    frames = []
    for number in range(FRAMES):
        picture = ground.copy()
        rows, column = SHADOW
        picture[rows, column + STEP * number : column + STEP * number + 40] *= 0.5
        rows, column = BOARD
        picture[rows, column + STEP * number : column + STEP * number + 40] = board
        frames.append(np.repeat(np.clip(picture, 0, 255).astype(np.uint8)[..., None], 3, 2))
    y, x = np.mgrid[26:56:5, 26:56:5]
    on_board = np.column_stack([x.ravel(), y.ravel()])
    edge = np.column_stack([np.full(20, 60), np.linspace(92, 127, 20)])
    beside = np.column_stack([np.full(20, 62), np.linspace(24, 56, 20)])
    y, x = np.mgrid[6:156:10, 6:156:10]
    around = np.column_stack([x.ravel(), y.ravel()])
    points = np.concatenate([on_board, edge, beside, around]) + 0.5
    queries = np.column_stack([np.zeros(len(points)), points / SIDE])
    return np.stack(frames), queries


@pytest.mark.parametrize("step", [trusting.STEP, np.inf])
def test_what_shadows_and_outlines_drag_along_is_not_believed(clip, monkeypatch, step):
    """Also where another flow is deceived likewise."""
    monkeypatch.setattr(trusting, "STEP", step)
    frames, queries = clip
    tracks, visible = track_points(frames, queries)
    kept = believed(frames, tracks, visible, track_points)
    went = (tracks[-1, :, 0] - tracks[0, :, 0]) * SIDE
    board, edge, beside = np.arange(36), np.arange(36, 56), np.arange(56, 76)
    assert went[board] == pytest.approx(STEP * (FRAMES - 1), abs=0.3)
    assert kept[-1, board].mean() > 0.9
    for stays in (edge, beside):
        dragged = stays[(went[stays] > 5) & visible[-1, stays]]
        assert len(dragged) > 15, "the tracker is deceived"
        assert not kept[-1, dragged].any()
    assert kept[0].sum() > 0.95 * visible[0].sum(), "at their place they stay labels"
    assert not (kept & ~visible).any()


@pytest.mark.parametrize("light, kept_there", [(trusting.LIGHT, False), (0.0, True)])
def test_what_goes_with_a_shine_is_not_believed(monkeypatch, light, kept_there):
    """Tracks that go with the flank of a soft light over a plain wall: nothing but its change of
    brightness is to be seen there, which is explained as well where they began."""
    monkeypatch.setattr(trusting, "LIGHT", light)
    monkeypatch.setattr(trusting, "STEP", np.inf)
    column, row = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    noise = np.random.default_rng(0).normal(0, 2.5, (FRAMES, SIDE, SIDE))
    way = STEP * np.arange(FRAMES)
    lit = 60 * np.exp(-((column - 30 - way[:, None, None]) ** 2 + (row - 80) ** 2) / (2 * 35**2))
    frames = np.repeat((100 + lit + noise).astype(np.uint8)[..., None], 3, 3)
    points = np.stack([np.full(9, 55), np.arange(60, 105, 5)], 1) + np.zeros((FRAMES, 9, 2))
    points[..., 0] += way[:, None]
    tracks = ((points + 0.5) / SIDE).astype(np.float32)
    visible = np.ones(tracks.shape[:2], bool)
    kept = believed(frames, tracks, visible, lambda frames, queries: (tracks, visible))
    assert kept[0].all() and kept[-1].any() == kept_there


def test_what_another_flow_contradicts_is_not_believed(clip):
    """Tracks that jump aside for a frame, and ones that do not come back to where they began."""
    frames, queries = clip
    tracks, visible = track_points(frames, queries[:36])
    jumping = tracks.copy()
    jumping[10] += 3 / SIDE

    def same(frames, queries):
        return jumping, visible

    assert not believed(frames, jumping, visible, same)[-1].any()
    assert not believed(frames, jumping, visible, track_points)[-1].any()

    def elsewhere(frames, queries):
        return tracks + np.float32(1 / SIDE), visible

    assert believed(frames, tracks, visible, track_points)[-1].any()
    assert not believed(frames, tracks, visible, elsewhere)[-1].any()


def test_labels_are_compared_with_what_is_seen_there():
    """The true tracks are right; such that go elsewhere are not."""
    simulated = simulate(2, frames=30, size=128)
    y, x = np.mgrid[10:120:6, 10:120:6]
    queries = np.column_stack([np.zeros(x.size), x.ravel() / 128, y.ravel() / 128])
    from fpt_ros.simulation.views import exact_tracks

    truth = exact_tracks(simulated.views, queries)
    everything = np.ones_like(truth[1])
    moves, right, stays, kept = clip_labels(simulated.views, truth, everything, 128).T
    assert right[~moves].mean() > 0.99 and right.mean() > 0.95 and kept.all()
    wrong = truth[0] + np.linspace(0, 0.1, 30)[:, None, None].astype(np.float32), truth[1]
    moves, right, stays, kept = clip_labels(simulated.views, wrong, ~everything, 128).T
    assert moves.mean() > 0.9 and right.mean() < 0.05 and stays.mean() > 0.5 and not kept.any()


def test_label_figures_by_hand():
    rows = [(1, 1, 0, 1), (1, 1, 0, 0), (1, 0, 1, 1), (1, 0, 1, 0), (1, 0, 0, 0), (0, 1, 1, 1)]
    found = label_figures(np.array(rows, bool))
    assert found == {
        "labels that move: right": pytest.approx(2 / 5),
        "labels that move: stay in truth": pytest.approx(2 / 5),
        "labels that move, believed: right": pytest.approx(1 / 2),
        "labels that move, believed: stay in truth": pytest.approx(1 / 2),
        "labels that move, right: believed": pytest.approx(1 / 2),
        "labels that stay, believed: right": 1,
        "labels that stay, right: believed": 1,
        "labels, all: believed": pytest.approx(1 / 2),
    }
