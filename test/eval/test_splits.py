# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fpt_ros.eval.cases import Cases
from fpt_ros.eval.splits import kinds, split_figures


def turning(case, about, angle):
    """The case with all points of the poked body, and the poke, turned about a point."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    flow = ((case.points - about) @ (turn - np.eye(2)).T).astype(np.float32)
    pokes = case.pokes.copy()
    pokes[:, 2:] = (pokes[:, :2] - about) @ (turn - np.eye(2)).T
    return replace(case, flow=np.where(case.same_body[:, None], flow, 0), pokes=pokes)


def test_kinds_of_motion(cases):
    slides = cases.each[0]  # squares slide
    where = slides.points[slides.same_body]
    far, middle = where.min(0) - 0.4, slides.pokes[0, :2] + 0.01
    unknown = replace(slides, same_body=np.zeros(len(slides.points), bool))
    some = [
        slides,
        turning(slides, far, 0.1),
        turning(slides, far + 0.3, 0.5),
        turning(slides, middle, 0.5),
        unknown,
    ]
    expected = ["goes along", "goes along", "turns", "poked near its axis", None]
    assert kinds(Cases(some)) == expected


def test_figures_of_each_kind(cases):
    slides = cases.each[0]
    about = turning(slides, slides.pokes[0, :2] + 0.01, 0.5)
    both = Cases([slides, slides, about])
    found = split_figures(both, {"ours": both.flow, "still": np.zeros_like(both.flow)})
    assert list(found) == ["goes along", "poked near its axis"]
    assert found["goes along"]["cases"] == 2
    assert found["goes along"]["ours"] == {"mean": 0, "standard_error": 0}
    length = np.linalg.norm(slides.pokes[0, 2:])
    assert found["goes along"]["still"]["mean"] == pytest.approx(length / 2, rel=1e-5)
    assert found["poked near its axis"]["still"]["mean"] > 0
