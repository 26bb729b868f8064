# SPDX-License-Identifier: Apache-2.0
"""What kind of motion a case shows, by the similarity that its moving points follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from fpt_ros.eval.cases import Case

TURN = np.radians(5)
SCALE = 0.05
TOGETHER = 0.6
"""Share of the moving points that one similarity must explain."""
NEAR = 0.012
"""To so many picture sides."""
KINDS = ("translation", "turning", "nearer or farther", "several ways", "camera moves")


def kind_of_motion(case: Case) -> str:
    """One of `KINDS`: the camera's motion counts first, then how the moving points go together."""
    if not case.camera_static:
        return "camera moves"
    start = np.concatenate([case.pokes[:1, :2], case.points[case.moving]]).astype(np.float32)
    flow = np.concatenate([case.pokes[:1, 2:], case.flow[case.moving]]).astype(np.float32)
    found, inside = cv2.estimateAffinePartial2D(
        start, start + flow, method=cv2.RANSAC, ransacReprojThreshold=NEAR
    )
    if found is None or inside.mean() < TOGETHER:
        return "several ways"
    scale = float(np.hypot(found[0, 0], found[1, 0]))
    if abs(np.arctan2(found[1, 0], found[0, 0])) > TURN:
        return "turning"
    return "nearer or farther" if abs(scale - 1) > SCALE else "translation"
