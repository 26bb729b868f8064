# SPDX-License-Identifier: Apache-2.0
"""Pictures for the tests of this folder."""

from __future__ import annotations

import functools

import numpy as np

from fpt_ros.engine.frames import Frame


def scene(width: int = 96, height: int = 64) -> np.ndarray:
    """A picture that is different everywhere."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], -1).astype(np.uint8)


def frame(sec: int, picture: np.ndarray | None = None) -> Frame:
    picture = scene() if picture is None else picture
    return Frame(f"header {sec}", (sec, 0), functools.partial(np.asarray, picture))
