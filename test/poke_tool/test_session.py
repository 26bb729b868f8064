# SPDX-License-Identifier: Apache-2.0
"""What clicks and dragged handles make of the pokes and query points."""

from __future__ import annotations

import numpy as np
import pytest

from fpt_ros.poke_tool.session import Session


@pytest.fixture
def session():
    session = Session()
    session.see((640, 480))
    return session


def test_two_clicks_are_a_poke(session):
    session.click((100, 50))
    assert (session.pokes, session.started) == ([], (100, 50))
    assert "poke 1: (30, -10)" in session.click((130, 40))
    assert (session.pokes, session.started) == ([[100, 50, 30, -10]], None)


def test_clicks_that_ask_are_query_points_and_leave_the_pokes_alone(session):
    session.clicks_ask = True
    session.click((1, 2))
    session.click((3, 4))
    assert session.query_points == [(1, 2), (3, 4)]
    assert (session.pokes, session.started) == ([], None)


@pytest.mark.parametrize("at", [(-1, 5), (640, 5), (5, 480), (float("nan"), 5)])
def test_a_click_beside_the_image_is_refused_and_changes_nothing(session, at):
    session.click((100, 50))
    with pytest.raises(ValueError, match="not in the image of 640 x 480"):
        session.click(at)
    assert session.started == (100, 50)


def test_nothing_can_be_set_before_an_image_is_known():
    for change in (lambda s: s.click((1, 1)), lambda s: s.add()):
        with pytest.raises(ValueError, match="no image has arrived yet"):
            change(Session())


def test_handles_move_the_start_with_the_poke_and_the_end_alone(session):
    session.replace(np.array([[100, 50, 30, -10], [1, 2, 3, 4]]))
    session.move_start(0, (110, 60))
    assert session.pokes[0] == [110, 60, 30, -10]
    session.move_end(0, (100, 60))
    assert session.pokes[0] == [110, 60, -10, 0]
    session.move_start(0, (-50, 1000))  # the node refuses pokes beside the image
    assert session.pokes[0][:2] == [0, 479]
    session.move_end(7, (1, 1))
    session.remove(7)
    assert session.pokes[1:] == [[1, 2, 3, 4]]
    session.remove(0)
    assert session.pokes == [[1, 2, 3, 4]]


def test_added_pokes_can_all_be_seen(session):
    for _ in range(20):
        session.add()
    starts = {tuple(poke[:2]) for poke in session.pokes}
    assert len(starts) >= 6
    assert all(0 <= x < 640 and 0 <= y < 480 for x, y in starts)


def test_images_of_another_size_end_what_was_set(session):
    session.replace(np.array([[600, 400, 1, 1]]))
    session.query_points.append((600, 400))
    session.see((640, 480))
    assert session.pokes
    session.see((320, 240))
    assert (session.pokes, session.query_points) == ([], [])
