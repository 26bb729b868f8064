# SPDX-License-Identifier: Apache-2.0
"""The GPU's benchmark runs from one end to the other, with tiny models where there is no GPU."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_cuda_device_it_says_so_in_one_line():
    ended = run()
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith("no CUDA device") and ended.stderr.count("\n") == 1


def test_every_row_is_printed_for_both_models():
    ended = run("--device", "cpu", "--seconds", "0")
    assert ended.returncode == 0, ended.stderr
    rows = [line for line in ended.stdout.splitlines() if line.startswith("| ")]
    assert len(rows) == 2 * (2 + 5)  # a heading of two lines, then the rows
    assert "300,000 a second" in ended.stdout
