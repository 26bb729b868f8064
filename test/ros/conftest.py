# SPDX-License-Identifier: Apache-2.0
"""A running node and a planner for the tests of this folder."""

from __future__ import annotations

import os

# Before rclpy is imported: a domain of this run's own, and nothing beyond this machine.
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["FASTDDS_BUILTIN_TRANSPORTS"] = "LARGE_DATA"

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ros_harness import NodeProcess, Planner

_numbers = itertools.count()


Start = Callable[..., tuple[NodeProcess, Planner]]


@contextmanager
def _starter(checkpoint: Path, folder: Path) -> Iterator[Start]:
    started: list[tuple[NodeProcess, Planner]] = []

    def start(namespace: str = "", **parameters: object) -> tuple[NodeProcess, Planner]:
        namespace = namespace or f"robot{next(_numbers)}"
        parameters = {"checkpoint": checkpoint, **parameters}
        node = NodeProcess(namespace, folder / f"{namespace}.log", **parameters)
        planner = Planner(namespace)
        started.append((node, planner))
        if parameters.get("autostart"):
            planner.wait_for(lambda: planner.state() == "active", 60, "the active state")
        return node, planner

    yield start
    for node, planner in started:
        planner.close()
        node.stop()
        print(node.log)


@pytest.fixture
def start_node(tiny_checkpoint: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts a node with these parameters and gives it with a planner in its namespace."""
    with _starter(tiny_checkpoint, tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def start_node_of_module(
    tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Start]:
    """As start_node, for a node that several tests use."""
    with _starter(tiny_checkpoint, tmp_path_factory.mktemp("nodes")) as start:
        yield start


@pytest.fixture(scope="session")
def shared(
    tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[NodeProcess, Planner]]:
    log = tmp_path_factory.mktemp("node") / "shared.log"
    node = NodeProcess("shared", log, checkpoint=tiny_checkpoint, autostart=True, image_cache=3)
    planner = Planner("shared")
    planner.wait_for(lambda: planner.state() == "active", 60, "the active state")
    yield node, planner
    planner.close()
    assert node.stop() == 0, node.log


@pytest.fixture
def planner(shared: tuple[NodeProcess, Planner]) -> Iterator[Planner]:
    """A planner of the shared node, which must be up and answer after every test."""
    node, planner = shared
    planner.kept_image()
    planner.received.clear()
    yield planner
    assert node.alive, node.log
    assert planner.predict((10, 10, 5, 0), x=[1], y=[2]).error_code == 0
