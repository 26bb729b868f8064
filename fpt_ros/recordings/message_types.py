# SPDX-License-Identifier: Apache-2.0
"""The message types that bags are read and written with: ROS 2's, this package's, Foxglove's."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore

HERE = Path(__file__).parent
DEFINITIONS = next(p for p in (HERE / "definitions", HERE.parents[1] / "msg") if p.exists())
"""This package's .msg files, where they were installed, or in the sources."""

FOXGLOVE = {
    "Color": "float64 r\nfloat64 g\nfloat64 b\nfloat64 a",
    "Point2": "float64 x\nfloat64 y",
    "CircleAnnotation": """
builtin_interfaces/Time timestamp
foxglove_msgs/Point2 position
float64 diameter
float64 thickness
foxglove_msgs/Color fill_color
foxglove_msgs/Color outline_color
""",
    "PointsAnnotation": """
uint8 UNKNOWN=0
uint8 POINTS=1
uint8 LINE_LOOP=2
uint8 LINE_STRIP=3
uint8 LINE_LIST=4
builtin_interfaces/Time timestamp
uint8 type
foxglove_msgs/Point2[] points
foxglove_msgs/Color outline_color
foxglove_msgs/Color[] outline_colors
foxglove_msgs/Color fill_color
float64 thickness
""",
    "TextAnnotation": """
builtin_interfaces/Time timestamp
foxglove_msgs/Point2 position
string text
float64 font_size
foxglove_msgs/Color text_color
foxglove_msgs/Color background_color
""",
    "ImageAnnotations": """
foxglove_msgs/CircleAnnotation[] circles
foxglove_msgs/PointsAnnotation[] points
foxglove_msgs/TextAnnotation[] texts
""",
}
"""The fields of foxglove_msgs, by its published schemas (docs.foxglove.dev)."""


@cache
def message_types() -> Any:
    """A `rosbags` typestore of ROS 2 Jazzy's messages with ours and Foxglove's."""
    types = get_typestore(Stores.ROS2_JAZZY)
    found: dict[str, Any] = {}
    for file in sorted(DEFINITIONS.glob("*.msg")):
        found |= get_types_from_msg(file.read_text(), f"fpt_ros/msg/{file.stem}")
    for name, text in FOXGLOVE.items():
        found |= get_types_from_msg(text, f"foxglove_msgs/msg/{name}")
    types.register(found)
    return types
