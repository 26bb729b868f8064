# SPDX-License-Identifier: Apache-2.0
"""Motion as foxglove_msgs/ImageAnnotations, which viewers draw over the image at any zoom.

Their origin is the corner of the top-left pixel, ours is its centre.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fpt_ros.drawing import direction_colors, ellipse_outlines
from fpt_ros.legible import points_to_show
from fpt_ros.recordings.message_types import message_types

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

    from fpt_ros.engine.motion import Motion

CORNER = 0.5
"""From the centre of the top-left pixel to its corner."""
LINE_LOOP, LINE_LIST = 2, 4
THICKNESS = 2.0
HEAD = 0.25
"""Length of an arrow's head, in lengths of the arrow."""
ELLIPSE_CORNERS = 24
WHITE = np.array([[255, 255, 255]], np.uint8)


def motion_annotations(motion: Motion, header: Any) -> Any:
    """Arrows for the pokes and for points that move, an ellipse of two standard deviations each."""
    shown = points_to_show(motion.points, motion.mean, motion.grid, motion.image_size[1])
    points, mean = motion.points[shown], motion.mean[shown]
    colors = direction_colors(mean)
    outlines = ellipse_outlines(points + mean, motion.covariance[shown], ELLIPSE_CORNERS)
    stamp = header.stamp
    drawn = [
        _lines(stamp, LINE_LOOP, outline, color[None], 1.0)
        for outline, color in zip(outlines, colors, strict=True)
    ]
    if len(shown):
        drawn.append(_arrows(stamp, points, mean, colors, THICKNESS))
    if len(motion.pokes):
        white = WHITE.repeat(len(motion.pokes), 0)
        pokes = motion.pokes[:, :2], motion.pokes[:, 2:]
        drawn.append(_arrows(stamp, *pokes, white, 2 * THICKNESS))
    types = message_types().types
    return types["foxglove_msgs/msg/ImageAnnotations"](circles=[], points=drawn, texts=[])


def _arrows(
    stamp: Any,
    start: Float[np.ndarray, "n 2"],
    way: Float[np.ndarray, "n 2"],
    colors: UInt8[np.ndarray, "n 3"],
    thickness: float,
) -> Any:
    """Three lines each: the shaft, and the two sides of the head."""
    end = start + way
    across = np.stack([-way[:, 1], way[:, 0]], 1)
    sides = [end - HEAD * way + sign * HEAD / 2 * across for sign in (1, -1)]
    ends = np.stack([start, end, end, sides[0], end, sides[1]], 1).reshape(-1, 2)
    return _lines(stamp, LINE_LIST, ends, colors.repeat(3, 0), thickness)


def _lines(
    stamp: Any,
    kind: int,
    points: Float[np.ndarray, "n 2"],
    colors: UInt8[np.ndarray, "c 3"],
    thickness: float,
) -> Any:
    """Lines of one colour, or with one for each."""
    types = message_types().types
    point, color = (types[f"foxglove_msgs/msg/{name}"] for name in ("Point2", "Color"))
    each = [color(*(row / 255).tolist(), 1.0) for row in colors]
    return types["foxglove_msgs/msg/PointsAnnotation"](
        timestamp=stamp,
        type=kind,
        points=[point(x, y) for x, y in (points.astype(float) + CORNER).tolist()],
        outline_color=each[0],
        outline_colors=each if kind == LINE_LIST else [],
        fill_color=color(0.0, 0.0, 0.0, 0.0),
        thickness=thickness,
    )
