# SPDX-License-Identifier: Apache-2.0
"""Whose turn it is: a step of each job after the other, and what ends them."""

from __future__ import annotations

import threading
import time

import pytest

from fpt_ros.engine.turns import Turns


@pytest.fixture
def faults():
    return []


@pytest.fixture
def turns(faults):
    turns = Turns(faults.append)
    yield turns
    assert turns.stop(5)


@pytest.fixture
def let_go(turns):
    """Holds the thread until it is called, which gives back when the log has `count` entries."""
    gate, inside = threading.Event(), threading.Event()

    def wait():
        inside.set()
        gate.wait(5)
        yield

    def let_go(log, count):
        gate.set()
        end = time.monotonic() + 5
        while len(log) < count:
            assert time.monotonic() < end, log
            time.sleep(0.001)

    turns.submit(wait())
    assert inside.wait(5)
    yield let_go
    gate.set()


def last(ended):
    ended.set()
    yield


def steps(log, name, count):
    for i in range(count):
        log.append(f"{name}{i}")
        yield


def test_turns_go_round_the_jobs(turns, let_go):
    log = []
    for name, count in (("a", 3), ("b", 1), ("c", 2)):
        turns.submit(steps(log, name, count))
    let_go(log, 6)
    assert log == ["a0", "b0", "c0", "a1", "c1", "a2"]


def test_a_fault_ends_its_job_alone(turns, let_go, faults):
    log = []

    def fails():
        yield
        raise ValueError("a fault")

    turns.submit(fails())
    turns.submit(steps(log, "a", 3))
    let_go(log, 3)
    assert log == ["a0", "a1", "a2"]
    assert [str(fault) for fault in faults] == ["a fault"]


def test_clear_ends_the_running_job_after_its_step(turns):
    log, reached, go_on = [], threading.Event(), threading.Event()

    def job():
        reached.set()
        go_on.wait(5)
        log.append("step")
        yield
        log.append("another step")

    turns.submit(job())
    turns.submit(steps(log, "waiting", 1))
    assert reached.wait(5)
    turns.clear()
    ended = threading.Event()
    turns.submit(last(ended))
    go_on.set()
    assert ended.wait(5)
    assert turns.stop(5)
    assert log == ["step"]


def test_stop_says_when_a_step_takes_longer(turns):
    inside, go_on = threading.Event(), threading.Event()

    def job():
        inside.set()
        go_on.wait(5)
        yield

    turns.submit(job())
    assert inside.wait(5)
    assert not turns.stop(0.05)
    go_on.set()
