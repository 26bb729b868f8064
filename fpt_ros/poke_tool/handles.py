# SPDX-License-Identifier: Apache-2.0
"""The handles of pokes as interactive markers: what they look like, and their menu."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import InteractiveMarker, InteractiveMarkerControl, Marker, MenuEntry

if TYPE_CHECKING:
    from fpt_ros.poke_tool.session import Session
    from fpt_ros.ros.projection import Surface

MENU = "menu"
START, END = "start", "end"
ADD, REMOVE, CLEAR, PLAN, ACCEPT, ASK, FORGET = range(1, 8)
"""Numbers of the menu's entries."""
ENTRIES = {
    ADD: "Add a poke",
    REMOVE: "Remove this poke",
    CLEAR: "Clear all pokes",
    PLAN: "Plan: bring the start of this poke to its end",
    ACCEPT: "Accept these pokes",
    ASK: "Clicks set: pokes or query points",
    FORGET: "Clear the query points",
}
ONLY_OF_POKES = (REMOVE, PLAN)
RADIUS = 9.0
"""Of a handle, in pixels of a picture 480 high."""
HIGH, WIDE = 0.8, 0.64
"""Of text, its height in sizes of the handle, and the width of a letter in its radii."""
LAYER = 0.06
"""Share of the depth by which handles lie before what they are on."""
YELLOW, GREEN, GREY = (1.0, 0.8, 0.1), (0.3, 0.9, 0.4), (0.9, 0.9, 0.9)
# A control moves in the plane across its x axis: that is turned to the optical axis.
ACROSS_THE_VIEW = Quaternion(x=0.0, y=-math.sqrt(0.5), z=0.0, w=math.sqrt(0.5))


def handles(
    session: Session, surface: Surface, size: tuple[int, int], frame_id: str, text: str
) -> list[InteractiveMarker]:
    """One to drag at the start and one at the end of each poke, and the menu's own at a corner.

    Args:
        surface: where the pixels of images of that `size` (width, height) lie.
        text: stands beside the menu.
    """
    radius = RADIUS * max(1.0, min(size) / 480)
    corner = (2 * radius, 2 * radius)
    nearest = _nearest(surface, corner, radius * (2 + WIDE * len(text)))
    made = [_handle(MENU, corner, surface, radius, GREY, Marker.CUBE, nearest)]
    made[0].description = text
    made[0].controls[0].markers.append(_words(text, made[0].scale))
    for number, (x, y, dx, dy) in enumerate(session.pokes, 1):
        for part, at, color in ((START, (x, y), YELLOW), (END, (x + dx, y + dy), GREEN)):
            depth_at = (x, y)
            made.append(
                _handle(
                    f"poke {number} {part}", at, surface, radius, color, Marker.SPHERE, depth_at
                )
            )
    if session.started is not None:
        made.append(_handle("begun", session.started, surface, radius, YELLOW, Marker.SPHERE))
    for marker in made:
        # Without a stamp: the frame's newest place counts, and feedback comes in this frame.
        marker.header = Header(frame_id=frame_id)
    return made


def _nearest(surface: Surface, start: tuple[float, float], length: float) -> tuple[float, float]:
    """The pixel of the nearest thing along a line of text, which would else be hidden by it."""
    x = start[0] + np.linspace(0, length, 64)
    line = np.column_stack([x, np.full_like(x, start[1])])
    at, y = line[surface.depth_at(line).argmin()]
    return float(at), float(y)


def _words(text: str, size: float) -> Marker:
    """Beside a handle of that size, to its right: RViz centres text about its place."""
    height = HIGH * size
    words = Marker(type=Marker.TEXT_VIEW_FACING, text=text)
    words.scale = Vector3(x=height, y=height, z=height)
    words.pose.position.x = size + WIDE / 4 * size * len(text)
    words.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
    return words


def poke_of(name: str) -> tuple[int, str] | None:
    """Which poke, and START or END of it, a handle of that name is for; None for the others."""
    kind, _, rest = name.partition(" ")
    number, _, part = rest.partition(" ")
    if kind != "poke" or not number.isdigit() or part not in (START, END):
        return None
    return int(number) - 1, part


def _handle(
    name: str,
    at: tuple[float, float],
    surface: Surface,
    radius: float,
    color: tuple[float, float, float],
    shape: int,
    depth_at: tuple[float, float] | None = None,
) -> InteractiveMarker:
    pixels, anchor = np.array([at]), np.array([depth_at or at])
    where = surface.points(pixels, anchor, LAYER)[0]
    size = 2 * radius * where.z / surface.camera.fx
    ball = Marker(type=shape, scale=Vector3(x=size, y=size, z=size))
    ball.color = ColorRGBA(r=color[0], g=color[1], b=color[2], a=0.85)
    control = InteractiveMarkerControl(
        name="drag",
        orientation=ACROSS_THE_VIEW,
        interaction_mode=InteractiveMarkerControl.MOVE_PLANE,
        always_visible=True,
        markers=[ball],
    )
    if poke_of(name) is None:
        control.interaction_mode = InteractiveMarkerControl.MENU
    marker = InteractiveMarker(name=name, scale=size, controls=[control])
    marker.pose = Pose(position=Point(x=where.x, y=where.y, z=where.z))
    marker.menu_entries = [
        MenuEntry(id=number, title=title, command_type=MenuEntry.FEEDBACK)
        for number, title in ENTRIES.items()
        if poke_of(name) is not None or number not in ONLY_OF_POKES
    ]
    return marker
