"""Whose turn it is: the worker's jobs by owner, by slot, and what ends them."""

from __future__ import annotations

import threading
import time

import pytest

from fpt_ros.ros.worker import Worker


@pytest.fixture
def faults():
    return []


@pytest.fixture
def worker(faults):
    worker = Worker(faults.append)
    yield worker
    worker.stop()
    assert worker.join(5)


@pytest.fixture
def let_go(worker):
    """Holds the worker until it is called, which gives back when the log has `count` entries."""
    gate, inside = threading.Event(), threading.Event()

    def wait():
        inside.set()
        gate.wait(5)

    def let_go(log, count):
        gate.set()
        end = time.monotonic() + 5
        while len(log) < count:
            assert time.monotonic() < end, log
            time.sleep(0.001)

    worker.submit(wait)
    assert inside.wait(5)
    yield let_go
    gate.set()


def steps(log, name, count):
    def start():
        for i in range(count):
            log.append(f"{name}{i}")
            yield

    return start


def test_turns_go_round_the_owners_and_each_owners_jobs(worker, let_go):
    log = []
    for name, count in (("a", 3), ("b", 2), ("c", 1)):
        worker.submit(steps(log, name, count), owner=lambda: "many")
    worker.submit(steps(log, "x", 3), owner=lambda: "one")
    let_go(log, 9)
    assert [entry for entry in log if entry[0] != "x"] == ["a0", "b0", "c0", "a1", "b1", "a2"]
    assert log.index("x2") <= 6  # not behind the other owner's three jobs


def test_only_the_newest_of_a_slot_is_done(worker, let_go):
    log = []
    assert not worker.submit(lambda: log.append("old"), slot="pokes")
    assert not worker.submit(lambda: log.append("image"), slot="image")
    assert worker.submit(lambda: log.append("new"), slot="pokes")
    worker.submit(lambda: log.append("points"), slot="points", first=True)
    let_go(log, 3)
    assert log == ["points", "new", "image"]


def test_jobs_with_slots_are_done_one_after_the_other(worker, let_go):
    log = []
    worker.submit(steps(log, "pokes", 3), slot="pokes")
    worker.submit(steps(log, "image", 2), slot="image")
    worker.submit(steps(log, "request", 1), owner=lambda: "caller")
    let_go(log, 6)
    assert [entry for entry in log if entry != "request0"] == [
        "pokes0", "pokes1", "pokes2", "image0", "image1",
    ]  # fmt: skip
    assert log.index("request0") <= 1


def test_a_fault_ends_its_job_alone(worker, let_go, faults):
    log = []

    def fails():
        yield
        raise ValueError("a fault")

    worker.submit(fails)
    worker.submit(steps(log, "a", 2))
    let_go(log, 2)
    assert log == ["a0", "a1"]
    assert [str(fault) for fault in faults] == ["a fault"]


def test_clear_ends_the_running_job_after_its_step(worker):
    log, reached, go_on = [], threading.Event(), threading.Event()

    def job():
        reached.set()
        go_on.wait(5)
        log.append("step")
        yield
        log.append("another step")

    worker.submit(job)
    worker.submit(lambda: log.append("waiting"))
    assert reached.wait(5)
    worker.clear()
    ended = threading.Event()
    worker.submit(lambda: ended.set())
    go_on.set()
    assert ended.wait(5)
    assert log == ["step"]
