# SPDX-License-Identifier: Apache-2.0
"""The built-in tracker against exact tracks of simulated clips."""

import numpy as np
import pytest

from fpt_ros.data.lucas_kanade import track_points
from fpt_ros.data.measuring import figures, measure
from fpt_ros.data.simulated import simulate
from fpt_ros.data.trackers import staying
from fpt_ros.simulation.views import exact_tracks


@pytest.fixture(scope="module")
def measured():
    return measure({"ours": track_points, "nothing moves": staying}, 4, 160, 150, 30)


def test_points_are_followed(measured):
    """A tracker that follows nothing has 0 of the moved points; one that follows noise is worse
    than nothing on the others."""
    ours, nothing = measured["ours"], measured["nothing moves"]
    assert nothing["within, moved"] == 0
    assert ours["within, moved"] > 0.3
    assert ours["within, moved, textured"] > 0.35
    assert ours["within, labelled"] > nothing["within"] + 0.1
    assert ours["within, moved, labelled"] > ours["within, moved"]


def test_occlusion_is_told(measured):
    ours, nothing = measured["ours"], measured["nothing moves"]
    assert (nothing["occlusion, seen"], nothing["occlusion, hidden"]) == (1, 0)
    assert ours["occlusion, seen"] > 0.85
    assert ours["occlusion, hidden"] > 0.5


def test_the_truth_follows_the_picture():
    """What a visible point looks like changes little, and at random places it does not."""
    clip = simulate(1, frames=20, size=160)
    rng = np.random.default_rng(0)
    queries = np.column_stack([np.zeros(400), rng.uniform(0.05, 0.95, (400, 2))])
    tracks, visible = exact_tracks(clip.views, queries)
    np.testing.assert_allclose(tracks[0], queries[:, 1:], atol=1e-6)
    assert visible[0].all()
    # The camera is back where it was at the end, and farthest away in the middle.
    moved = np.linalg.norm(tracks[10] - tracks[0], axis=-1) * 160
    assert np.median(moved) > 1, "this clip's camera moves"

    def looks(time, points):
        x, y = np.clip(points * 160, 0, 159).astype(int).T
        return clip.frames[time, y, x].astype(float)

    change = np.abs(looks(10, tracks[10]) - looks(0, tracks[0])).mean(1)[visible[10]]
    unmoved = np.abs(looks(10, tracks[0]) - looks(0, tracks[0])).mean(1)[visible[10]]
    assert change.mean() < 0.8 * unmoved.mean()


def test_figures_by_hand():
    """Three points in two frames: one right, one 10 pixels off, one hidden and taken for seen."""
    queries = np.array([[0, 0.5, 0.5]] * 3)
    truth = np.full((2, 3, 2), 0.5)
    truth[1, :2, 0] = 0.6
    tracked = truth.copy()
    tracked[1, 1, 0] += 0.1
    seen = np.array([[1, 1, 1], [1, 1, 0]], bool)
    found = figures(
        (tracked, np.ones((2, 3), bool)), (truth, seen), queries, 100, np.array([1, 0, 1], bool)
    )
    assert found["within"] == found["within, moved"] == 0.5
    assert found["within, moved, textured"] == 1
    assert found["occlusion"] == pytest.approx(2 / 3)
    assert (found["occlusion, seen"], found["occlusion, hidden"]) == (1, 0)
