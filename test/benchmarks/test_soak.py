# SPDX-License-Identifier: Apache-2.0
"""The soak finds nothing in a few seconds, and finds a node that died."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "soak.py"


def start(*arguments: str) -> subprocess.Popen:
    command = [sys.executable, str(SCRIPT), "--minutes", "0", *arguments]
    environment = {**os.environ, "ROS_DOMAIN_ID": str(101 + os.getpid() % 100)}
    output = subprocess.PIPE
    return subprocess.Popen(command, stdout=output, stderr=output, text=True, env=environment)


def test_a_round_of_quick_faults():
    soak = start("--only", "managers", "bad", "parameter")
    said, errors = soak.communicate(timeout=200)
    assert soak.returncode == 0, said + errors
    injected = dict(row.split(" | ")[:2] for row in said.splitlines() if row.startswith("| "))
    assert int(injected["| bad image"]) == 23
    assert int(injected["| two managers at once"]) == 8
    assert "| overload" not in said  # it was not wanted
    asked, answered = map(int, said.split("| of the planner | ")[1].split(" | ")[:2])
    assert 0 < answered <= asked
    assert "differ from a Predictor's: 0." in said


def test_a_node_that_dies_is_a_failure():
    soak = start("--only", "camera")
    os.kill(node_of(soak), signal.SIGKILL)
    said, errors = soak.communicate(timeout=200)
    assert soak.returncode == 1
    assert "FAILED: before any fault: the node does not answer (exit status -9)" in said, errors
    assert "FAILED: the node ended with status -9" in said


def node_of(soak: subprocess.Popen) -> int:
    """The process of the node that this soak started, once it is the active one."""
    end = time.monotonic() + 100
    while time.monotonic() < end:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
                command = (process / "cmdline").read_text()
            except OSError:
                continue
            if int(parent) == soak.pid and "fpt_node" in command:
                return int(process.name)
        time.sleep(0.1)
    raise AssertionError("no node was started")
