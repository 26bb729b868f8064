# SPDX-License-Identifier: Apache-2.0
"""The example in C++ asks a running node and prints what the library says."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ament_index_python import get_package_prefix
from fpt_ros.msg import Poke, PokeArray
from fpt_ros.srv import EvaluatePokes
from ros_harness import scene

from fpt_ros.inference.predictor import Predictor

SOURCE = Path(__file__).resolve().parents[2] / "examples/evaluate_pokes.cpp"
PROGRAM = Path(get_package_prefix("fpt_ros")) / "lib/fpt_ros/evaluate_pokes"

built = pytest.mark.skipif(
    not PROGRAM.exists(), reason="built only where there is rclcpp, which Python wheels lack"
)


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [PROGRAM, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@built
def test_prints_what_the_library_says(planner, tiny_checkpoint):
    picture = scene(160, 120)
    planner.kept_image(picture)
    result = run("80", "60", "12", "-4", "--ros-args", "-r", "__ns:=/shared")
    assert result.returncode == 0, result.stderr
    rows = [[float(n) for n in re.findall(r"-?\d+\.\d+", s)] for s in result.stdout.splitlines()]
    places, printed = np.array(rows)[:, :2], np.array(rows)[:, 2:]
    np.testing.assert_allclose(np.hypot(*(places - [80, 60]).T), 20, atol=0.1)

    angles = np.arange(16) * np.pi / 8
    exact = np.stack([80 + 20 * np.cos(angles), 60 + 20 * np.sin(angles)], axis=1)
    candidates = [[[x, y, 12, -4]] for x, y in exact]
    predictor = Predictor.from_checkpoint(str(tiny_checkpoint), device="cpu")
    context = predictor.embed(picture)
    expected = predictor.evaluate(context, candidates, [[80, 60]], [[12, -4]], 10.0)
    np.testing.assert_allclose(printed[:, 0], expected.probability[:, 0], atol=2e-3)
    np.testing.assert_allclose(printed[:, 1], expected.expected_error[:, 0], atol=2e-2)
    assert result.stdout.splitlines()[expected.best].startswith("*")
    assert result.stdout.count("*") == 1


@built
def test_says_what_is_wrong(planner):
    outside = run("1000", "60", "12", "-4", "--ros-args", "-r", "__ns:=/shared")
    assert outside.returncode == 1
    assert "1020" in outside.stderr or "1000" in outside.stderr
    assert "must lie in" in outside.stderr
    assert run("1000").returncode == 2


def test_uses_fields_that_the_interfaces_have():
    """Everywhere, also where the example is not built."""
    source = SOURCE.read_text()
    used = {
        EvaluatePokes.Request: r"request->(\w+)",
        EvaluatePokes.Response: r"answer->(\w+)",
        PokeArray: r"candidates\[i\]\.(\w+)",
        Poke: r"poke\.(\w+)",
    }
    for message, pattern in used.items():
        found = set(re.findall(pattern, source))
        assert found and found <= set(message.get_fields_and_field_types()), message
