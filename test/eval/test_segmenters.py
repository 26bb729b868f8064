# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from fpt_ros.eval.baselines import choose_segmenters
from fpt_ros.eval.cases import Cases
from fpt_ros.eval.figures import flow_errors
from fpt_ros.eval.segmenters import CANDIDATES, Felzenszwalb, GrabCut, parts_at_points


@pytest.mark.parametrize("segmenter", [GrabCut(0.3, False), GrabCut(0.2, True), Felzenszwalb(400)])
def test_a_square_is_cut_out(segmenter):
    image = np.full((128, 128, 3), 110, np.uint8)
    image[30:70, 20:60] = 200, 40, 40
    image[90:120, 90:120] = 200, 40, 40  # of its colour, but not connected with it
    part = segmenter.part(image, np.array([0.3, 0.35]))
    true = np.zeros((128, 128), bool)
    true[30:70, 20:60] = True
    assert (part & true).sum() / (part | true).sum() > 0.8
    assert (part == segmenter.part(image, np.array([0.3, 0.35]))).all()


def test_grabcut_stays_within_the_radius_unless_told_otherwise():
    image = np.full((128, 128, 3), 110, np.uint8)
    image[40:90, 10:120] = 200, 40, 40
    near = GrabCut(0.2, False).part(image, np.array([0.5, 0.5]))
    far = GrabCut(0.2, True).part(image, np.array([0.5, 0.5]))
    assert not near[:, :20].any() and far[64, 15]


def test_a_poke_at_the_very_edge_is_no_error():
    image = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    for poke in ([0, 0], [1, 1], [1.0, 0.5]):
        assert GrabCut(0.1, False).part(image, np.array(poke)).any()
        assert Felzenszwalb(100).part(image, np.array(poke)).any()


def test_points_of_several_cases(cases):
    some = Cases(cases.each[:3])
    parts = parts_at_points([Felzenszwalb(100), GrabCut(0.3, False)], some)
    assert parts.shape == (2, len(some.flow))
    assert (parts == some.same_body).mean(1).min() > 0.9


def test_settings_are_chosen_by_error_and_by_overlap(cases):
    some = Cases(cases.each[:4])
    baselines, finders = choose_segmenters(some)
    for baseline, finder in zip(baselines, finders, strict=True):
        assert type(finder) is type(baseline.segmenter)
        candidates = CANDIDATES[baseline.name]
        errors = [
            flow_errors(some, some.poke_flow * part[:, None])["mean"]
            for part in parts_at_points(candidates, some)
        ]
        assert flow_errors(some, baseline.estimate(some))["mean"] == min(errors)
        assert finder in candidates
        assert baseline.log_prob(some).mean() > 0
