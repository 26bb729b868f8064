# SPDX-License-Identifier: Apache-2.0
"""Goals in metres: the plan is that of the pixels where a camera sees them."""

from __future__ import annotations

import numpy as np
import pytest
from bar_world import EVERYWHERE, GOAL, STAY, WANTED, Counted, plan, turned

from fpt_ros.geometry import Camera
from fpt_ros.planning import plan_poke_3d

CAMERA = Camera(400.0, 400.0, 99.5, 99.5, 200, 200)
DEPTH = np.full((200, 200), 2.0)


def in_metres(pixels: np.ndarray) -> np.ndarray:
    pixels = np.atleast_2d(pixels)
    return CAMERA.unproject(pixels, np.full(len(pixels), 2.0))


def plans(**changes):
    wanted = in_metres(WANTED)
    given = {
        "points": wanted,
        "goals": in_metres(WANTED + GOAL) - wanted,
        "stay": in_metres(STAY),
        "touchable": EVERYWHERE,
        "reach": 0.2,
        "tolerance": 0.02,
    }
    return plan_poke_3d(Counted(), CAMERA, DEPTH, **given | changes)


def test_the_plan_is_that_of_the_pixels():
    best, flat = plans()[0], plan(reach=40.0, tolerance=4.0)[0]
    np.testing.assert_allclose(best.plan.pokes, flat.pokes, atol=1e-3)
    assert turned(best.plan.poke) == pytest.approx(GOAL[1], abs=1.5)
    np.testing.assert_allclose(CAMERA.project(best.starts), best.plan.pokes[:, :2], atol=1e-6)
    assert best.starts[0, 2] == 2


def test_what_cannot_be_meant_is_named():
    wrong = {
        "points has shape": {"points": [[1, 2]]},
        "goals has 2 rows: must have 1": {"goals": np.zeros((2, 3))},
        "in front of the camera": {"points": [[0, 0, -1.0]]},
        "reach is 0": {"reach": 0},
        "tolerance is -1": {"tolerance": -1},
    }
    for text, changes in wrong.items():
        with pytest.raises(ValueError, match=text):
            plans(**changes)
