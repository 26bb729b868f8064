# SPDX-License-Identifier: Apache-2.0
"""The README's Python examples run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from ros_harness import NodeProcess, Planner, scene

ROOT = Path(__file__).resolve().parents[2]


def example(part: str) -> str:
    """The README's Python block that contains `part`."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (found,) = [block for block in blocks if part in block]
    return found


def run(code: str, folder: Path) -> str:
    """What the code prints as a program of its own."""
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def planner(tiny_checkpoint, tmp_path_factory):
    """Of a node that is named as in the examples and has an image."""
    log = tmp_path_factory.mktemp("readme") / "node.log"
    node = NodeProcess("", log, checkpoint=tiny_checkpoint, autostart=True)
    try:
        planner = Planner("")
        planner.wait_for(lambda: planner.state() == "active", 60, "the active state")
        planner.kept_image(scene(640, 480))
        yield planner
        planner.close()
    finally:
        ended = node.stop()
    assert ended == 0


def test_the_planner_s_example(planner, tmp_path):
    printed = run(example("wait_until_ready"), tmp_path)
    numbers = re.findall(r"-?\d+\.\d*", printed)
    assert len(numbers) == 4 + 2  # two points, dx and dy; their probabilities


def test_the_planning_example_with_a_live_camera(planner, tmp_path):
    stop = threading.Event()

    def film():
        while not stop.wait(1 / 30):
            planner.image(scene(640, 480))

    camera = threading.Thread(target=film)
    camera.start()
    mask = "import rclpy, numpy; rclpy.init(); mask = numpy.ones((480, 640), bool)\n"
    try:
        assert "PokePlan" in run(mask + example("plan_poke(") + "print(best)", tmp_path)
    finally:
        stop.set()
        camera.join()


def test_the_library_s_example(tmp_path):
    blocks = np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "photo.jpg"), cv2.resize(blocks, (640, 480)))
    printed = run(example("Predictor.from_checkpoint"), tmp_path)
    assert printed.count("tensor") == 3


def test_the_torch_hub_example(tmp_path):
    code = example("torch.hub.load").replace("path/to/fpt_ros", str(ROOT))
    assert run(f"import torch\n{code}\nprint(model.config.encoder)", tmp_path).strip()


def test_what_the_readme_links_to_is_there():
    links = re.findall(r"\]\((?!http)([^)]+)\)", (ROOT / "README.md").read_text())
    assert len(links) >= 3
    assert all((ROOT / link).is_file() for link in links), links
