# SPDX-License-Identifier: Apache-2.0
"""What `import fpt_ros` gives, and what it leaves alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import fpt_ros

ROOT = Path(__file__).parents[1]
VERSION = ElementTree.parse(ROOT / "package.xml").findtext("version")


def modules_after(code: str) -> set[str]:
    """The modules that a Python has loaded after running this code."""
    command = [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_predictor_is_one_import_away():
    from fpt_ros import Predictor
    from fpt_ros.inference.predictor import Predictor as original

    assert Predictor is original
    assert {"Predictor", "__version__"} <= set(dir(fpt_ros))
    with pytest.raises(AttributeError, match="'fpt_ros' has no attribute 'Predicator'"):
        fpt_ros.Predicator  # noqa: B018


def test_version_is_that_of_package_xml():
    assert fpt_ros.__version__ == VERSION


def test_version_is_found_where_ros_installs(tmp_path):
    """There the package lies in lib/, package.xml in share/."""
    package = tmp_path / "lib/python3.12/site-packages/fpt_ros"
    package.mkdir(parents=True)
    shutil.copy(ROOT / "fpt_ros/__init__.py", package)
    share = tmp_path / "share/fpt_ros"
    share.mkdir(parents=True)
    (share / "package.xml").write_text("<package><version>4.5.6</version></package>")
    code = f"import sys; sys.path.insert(0, {str(package.parent)!r})"
    code += "; import fpt_ros; print(fpt_ros.__version__)"
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert run.stdout.strip() == "4.5.6", run.stderr


def test_importing_the_package_does_not_import_torch():
    modules = modules_after("import fpt_ros; fpt_ros.__version__; import fpt_ros.msg")
    assert "fpt_ros.msg" in modules
    assert "torch" not in modules


def test_predicting_needs_no_tools_for_data_and_training():
    modules = modules_after("from fpt_ros import Predictor")
    assert "torch" in modules
    parts = {name.split(".")[1] for name in modules if name.startswith("fpt_ros.")}
    assert parts == {"inference", "model"}
    assert {"cv2", "av", "matplotlib", "jaxtyping", "rclpy", "rosbags"} & modules == set()
