# SPDX-License-Identifier: Apache-2.0
"""Which images are kept: the newest, those asked about, those held."""

from __future__ import annotations

import pytest
from engine_harness import frame

from fpt_ros.engine import frames as frames_module
from fpt_ros.engine.errors import ErrorCode, RequestError
from fpt_ros.engine.frames import NEWEST, Frames


class Watch:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def watch(monkeypatch):
    watch = Watch()
    monkeypatch.setattr(frames_module, "time", watch)
    return watch


@pytest.fixture
def frames(watch):
    return Frames(capacity=2)


def add(frames, *seconds):
    for sec in seconds:
        frames.add(frame(sec))


def kept(frames, *seconds):
    """Which of these stamps are kept. Looks without asking."""
    return [sec for sec in seconds if any((sec, 0) in group for group in frames._all)]


def refused(code, function, *args):
    with pytest.raises(RequestError) as error:
        function(*args)
    assert error.value.code == code
    return str(error.value)


def test_before_the_first_image(frames):
    for stamp in (NEWEST, (3, 0)):
        assert "no image has arrived" in refused(ErrorCode.NO_IMAGE, frames.find, stamp)
    refused(ErrorCode.NO_IMAGE, frames.hold, NEWEST, 1.0)


def test_the_newest_are_kept_in_the_order_of_their_coming(frames):
    add(frames, 5, 9, 7)
    assert kept(frames, 5, 9, 7) == [9, 7]
    assert frames.find(NEWEST).stamp == (7, 0)
    assert frames.find((9, 0)).header == "header 9"
    message = refused(ErrorCode.IMAGE_NOT_KEPT, frames.find, (5, 0))
    for words in ("stamp 5.000000000", "newest 2", "9.000000000 to 7.000000000", "hold_image"):
        assert words in message


def test_one_of_the_same_stamp_is_replaced(frames):
    add(frames, 5)
    first = frames.find((5, 0))
    add(frames, 5)
    assert frames.find((5, 0)) is not first
    assert frames.find(NEWEST) is frames.find((5, 0))


def test_an_image_that_was_asked_about_outlives_a_fast_camera(frames, watch):
    add(frames, 1)
    frames.find(NEWEST)
    for sec in range(2, 300):
        watch.now += 1 / 30
        add(frames, sec)
    assert frames.find((1, 0)).stamp == (1, 0)
    watch.now += 9
    assert frames.find((1, 0)).stamp == (1, 0)  # each question counts anew
    watch.now += 11
    add(frames, 300)
    assert kept(frames, 1) == []


def test_as_many_as_the_capacity_are_kept_for_questions(frames):
    for sec in (1, 2, 3):
        add(frames, sec)
        frames.find((sec, 0))
    add(frames, 8, 9)
    assert kept(frames, 1, 2, 3) == [2, 3]


def test_held_images_stay_for_their_time_and_are_bounded(frames, watch):
    for sec in (1, 2):
        add(frames, sec)
        frames.hold((sec, 0), 30.0)
    add(frames, 3, 4)
    message = refused(ErrorCode.BUSY, frames.hold, (3, 0), 1.0)
    assert "2 images are held" in message and "image_cache" in message
    frames.hold((1, 0), 60.0)  # again: longer
    watch.now += 31
    add(frames, 5)
    assert kept(frames, 1, 2) == [1]
    frames.hold((1, 0), 0.0)
    add(frames, 6)
    assert kept(frames, 1) == []


def test_to_look_at_the_newest_changes_nothing(frames):
    add(frames, 1)
    frames.hold(NEWEST, 30.0)
    assert frames.hold(NEWEST, 0.0).stamp == (1, 0)
    add(frames, 2, 3)
    assert kept(frames, 1) == [1]


@pytest.mark.parametrize("seconds", [-1.0, 601.0, float("nan"), float("inf")])
def test_times_that_are_not_allowed(frames, seconds):
    add(frames, 1)
    message = refused(ErrorCode.INVALID_REQUEST, frames.hold, NEWEST, seconds)
    assert "600" in message and str(seconds) in message


def test_a_stamp_of_the_future_can_mean_the_newest(frames):
    add(frames, 5, 6)
    assert frames.find((6, 1), future_is_newest=True).stamp == (6, 0)
    assert frames.find((5, 0), future_is_newest=True).stamp == (5, 0)
    refused(ErrorCode.IMAGE_NOT_KEPT, frames.find, (6, 1))
    with pytest.raises(RequestError):
        frames.find((5, 1), future_is_newest=True)


def test_a_question_that_waits_keeps_its_image(frames):
    add(frames, 1)
    frames.touch((1, 0))
    frames.touch((77, 0))
    add(frames, 2, 3)
    assert kept(frames, 1) == [1]


def test_less_capacity_takes_effect_at_once(frames):
    add(frames, 1, 2)
    frames.resize(1)
    assert kept(frames, 1, 2) == [2]


def test_an_image_is_decoded_once_and_its_message_let_go():
    calls = []
    one = frames_module.Frame(None, (1, 0), lambda: calls.append(1) or frame(1).rgb)
    assert one.size == (96, 64)
    assert one.rgb is one.rgb
    assert calls == [1]
    assert one._decode is None
