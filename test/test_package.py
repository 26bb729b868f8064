"""What gets built and installed: the ROS package by CMake, the library by pip."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ament_index_python import get_package_prefix, get_package_share_path
from ament_index_python.packages import get_packages_with_prefixes
from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PACKAGE = ElementTree.parse(ROOT / "package.xml").getroot()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
INTERFACES = sorted(
    path for folder in ("msg", "srv", "action") for path in ROOT.glob(f"{folder}/*.{folder}")
)


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports, wherever it does."""
    packages = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            packages |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            packages.add(node.module.split(".")[0])
    return packages


@pytest.mark.parametrize("path", INTERFACES, ids=lambda path: path.name)
def test_interface_is_generated_and_every_field_explained(path: Path):
    kind = path.suffix[1:]
    assert hasattr(import_module(f"fpt_ros.{kind}"), path.stem)
    fields = [line for line in path.read_text().splitlines() if re.match(r"[a-z]", line)]
    assert fields
    assert [line for line in fields if not re.search(r"# \S", line)] == []


def test_package_xml_declares_every_ros_package_that_is_imported():
    declared = {element.text for element in PACKAGE if element.tag in ("depend", "exec_depend")}
    ros = {*get_packages_with_prefixes(), "launch", "launch_ros", "cv_bridge"} - {"fpt_ros"}
    used = set().union(*(imported(path) for path in sources("fpt_ros/ros", "launch")))
    assert used & ros <= declared


def test_every_executable_is_where_ros2_run_looks():
    folder = Path(get_package_prefix("fpt_ros"), "lib/fpt_ros")
    names = {path.name for path in (ROOT / "scripts/nodes").iterdir()}
    assert "fpt_node" in names
    # The example in C++ is there, too, where it could be built.
    assert {path.name for path in folder.iterdir() if os.access(path, os.X_OK)} >= names


def test_node_without_pytorch_says_how_to_install_it(tmp_path: Path):
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')")
    path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    node = Path(get_package_prefix("fpt_ros"), "lib/fpt_ros/fpt_node")
    command = [sys.executable, str(node), "--ros-args", "-p", "autostart:=true"]
    environment = {**os.environ, "PYTHONPATH": path}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        said = next(line for line in process.stderr if "cannot configure" in line)
        process.terminate()
    assert "pip install torch einops safetensors" in said
    assert process.returncode == 0


@pytest.mark.parametrize(
    "path", ["launch/fpt.launch.py", "config/fpt.yaml", "config/fpt.rviz", "recordings/drawer"]
)
def test_shared_file_is_installed(path: str):
    assert (get_package_share_path("fpt_ros") / path).exists()


def test_constraints_pin_every_requirement_exactly():
    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            pin = Requirement(line)
            assert re.fullmatch(r"==[^*,]+", str(pin.specifier)), line
            if pin.marker is None or pin.marker.evaluate():
                pins[pin.name.replace("_", "-")] = str(pin.specifier).removeprefix("==")
    extras = PROJECT["optional-dependencies"].values()
    for text in [*PROJECT["dependencies"], *(text for extra in extras for text in extra)]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(pins[requirement.name.replace("_", "-")]), text


def modules_after(code: str) -> list[str]:
    """The modules that a Python has loaded after running this code."""
    command = [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_library_imports_neither_ros_nor_messages():
    modules = modules_after(
        "import fpt_ros.model, fpt_ros.inference.predictor, fpt_ros.inference.view, fpt_ros.drawing"
    )
    assert "torch" in modules
    assert [name for name in modules if re.match(r"rclpy|launch|\w+_msgs\b", name)] == []


def test_messages_do_not_import_torch():
    modules = modules_after("import fpt_ros.msg, fpt_ros.srv, fpt_ros.action")
    assert "fpt_ros.msg" in modules
    assert "torch" not in modules


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library's wheel, built from a copy, since building leaves files in the source."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "setup.py", "package.xml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "fpt_ros", source / "fpt_ros", ignore=ignored)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "."]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    return next(source.glob("*.whl"))


def test_wheel_has_the_version_of_package_xml_and_all_files(wheel: Path):
    assert wheel.name.startswith(f"fpt_ros-{PACKAGE.findtext('version')}-")
    files = set(zipfile.ZipFile(wheel).namelist())
    weights = (ROOT / "fpt_ros/weights").glob("*.safetensors")
    wanted = [*sources("fpt_ros"), *weights, ROOT / "fpt_ros/py.typed"]
    assert {str(path.relative_to(ROOT)) for path in wanted} <= files
    assert {name.split("/")[0] for name in files if ".dist-info" not in name} == {"fpt_ros"}


def test_wheel_works_without_ros(wheel: Path, tmp_path: Path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = f"""if True:
        import sys
        sys.path = [p for p in sys.path if p] + [{sysconfig.get_path("purelib")!r}]
        sys.modules.update(rclpy=None, sensor_msgs=None)  # importing these fails
        import fpt_ros.model, fpt_ros.inference.predictor
        assert fpt_ros.Predictor is fpt_ros.inference.predictor.Predictor
        print(fpt_ros.model.__file__)
        """
    # -S: without the start-up hooks of the environment, ROS and the editable install among them.
    run = [sys.executable, "-S", "-c", code]
    environment = {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(run, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(tmp_path / "fpt_ros/model/__init__.py"), done.stderr
