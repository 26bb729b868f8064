# SPDX-License-Identifier: Apache-2.0
"""What gets built and installed: the ROS package by CMake, the library by pip."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from graphlib import TopologicalSorter
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ament_index_python import get_package_prefix, get_package_share_path
from ament_index_python.packages import get_packages_with_prefixes
from catkin_pkg.changelog import Changelog, populate_changelog_from_rst
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


LICENSED = re.compile(
    r"\.(py|sh|msg|srv|action|cpp|yaml|yml|toml|js|css|html|svg)$|/(CMakeLists\.txt|Makefile|MANIFEST\.in|nodes/\w+)$"
)


def test_every_source_file_names_its_licence():
    folders = "action benchmarks config examples fpt_ros launch msg scripts srv test .github .ci"
    paths = [path for folder in folders.split() for path in (ROOT / folder).rglob("*")]
    paths += [path for path in ROOT.iterdir() if path.is_file()]
    files = [path for path in paths if LICENSED.search(str(path)) and "fixtures" not in path.parts]
    assert len(files) > 300
    line = "SPDX-License-Identifier: Apache-2.0"
    assert [path for path in files if line not in path.read_text()[:400]] == []


def declared(*tags: str) -> set[str]:
    return {element.text for element in PACKAGE if element.tag in tags}


def test_package_xml_declares_every_ros_package_that_is_imported():
    ros = {*get_packages_with_prefixes(), "launch", "launch_ros", "cv_bridge"} - {"fpt_ros"}
    at_run_time = declared("depend", "exec_depend")
    folders = ("fpt_ros/ros", "fpt_ros/client", "fpt_ros/apps", "fpt_ros/web", "launch")
    assert set().union(*(imported(path) for path in sources(*folders))) & ros <= at_run_time
    for_tests = at_run_time | declared("test_depend")
    folders = ("test/ros", "test/model", "test/inference")  # those of colcon test
    assert set().union(*(imported(path) for path in sources(*folders))) & ros <= for_tests


def test_package_xml_says_who_made_it_and_where_it_is():
    assert PACKAGE.find("author") is not None
    assert {url.get("type") for url in PACKAGE.iter("url")} == {
        *("website", "bugtracker", "repository")
    }


def test_changelog_has_catkin_s_format():
    text = (ROOT / "CHANGELOG.rst").read_text()
    version = PACKAGE.findtext("version")
    # As a release does it. catkin_pkg sees no section that has another form.
    released = re.sub(
        r"(?m)^Forthcoming\n-+$", f"{version} (2026-01-01)\n{'-' * 18}", text, count=1
    )
    changelog = populate_changelog_from_rst(Changelog("fpt_ros"), released)
    newest, _, entries = next(changelog.foreach_version())
    assert newest == version
    assert entries


# What an extra's name stands for: the packages that import what it brings.
USES = {
    "demo": ["fpt_ros/apps"],
    "sim": ["fpt_ros/simulation", "fpt_ros/apps/planner_demo"],
    "train": ["fpt_ros/data", "fpt_ros/training", "fpt_ros/eval"],
    "web": ["fpt_ros/web"],
}
# Imported where they are, or where an option asks for them.
OPTIONAL = {
    "h5py": "bench",
    "ray": "ray",
    "wandb": "wandb",
    "mujoco": "sim",
    "_typeshed": "mypy",
    # The film of the page is for who changes it.
    **dict.fromkeys(["playwright", "PIL", "tqdm"], "test"),
}


@pytest.mark.parametrize("extra", USES)
def test_extra_brings_what_its_users_import(extra: str):
    requirements = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"][extra]]
    brought = {re.sub("[-_.]+", "-", Requirement(text).name).lower() for text in requirements}
    distributions = packages_distributions()
    ros = {*get_packages_with_prefixes(), *sys.stdlib_module_names, *OPTIONAL, "jaxtyping"}
    for path in sources(*USES[extra]):
        if extra == "demo" and "planner_demo" in path.parts:
            continue
        for module in imported(path) - ros:
            names = {re.sub("[-_.]+", "-", name).lower() for name in distributions[module]}
            assert names & {*brought, "fpt-ros"}, f"{path} imports {module}"


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
        if requirement.name == "fpt_ros":  # an extra made of others
            continue
        assert requirement.specifier.contains(pins[requirement.name.replace("_", "-")]), text


def modules_after(code: str) -> list[str]:
    """The modules that a Python has loaded after running this code."""
    command = [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_library_imports_neither_ros_nor_messages():
    modules = modules_after(
        "import fpt_ros.model, fpt_ros.engine.engine, fpt_ros.inference.predictor, fpt_ros.drawing"
    )
    assert "torch" in modules
    assert [name for name in modules if re.match(r"rclpy|launch|\w+_msgs\b", name)] == []


def test_no_modules_import_each_other_in_a_circle():
    """Imports for type checking alone included."""
    paths = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sources("fpt_ros/engine", "fpt_ros/ros", "fpt_ros/client")
    }
    graph = {name: set[str]() for name in paths}
    for name, path in paths.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                graph[name] |= (names & paths.keys()) or {str(node.module)}
    order = list(TopologicalSorter(graph).static_order())
    assert order.index("fpt_ros.engine.engine") < order.index("fpt_ros.ros.node")


def test_neither_messages_nor_the_launch_file_s_search_import_torch():
    modules = modules_after("import fpt_ros.msg, fpt_ros.srv, fpt_ros.action, fpt_ros.ros.cameras")
    assert "fpt_ros.msg" in modules
    assert "torch" not in modules


# A shell in which another ROS was sourced, whose Python packages do not fit.
FOREIGN = {
    "ROS_DISTRO": "humble",
    "AMENT_PREFIX_PATH": "/opt/ros/humble",
    "COLCON_PREFIX_PATH": "/opt/ros/humble",
    "LD_LIBRARY_PATH": "/opt/ros/humble/lib",
}


def test_make_takes_its_own_environment_where_another_ros_is_sourced():
    environment = {**os.environ, **FOREIGN}
    command = ["make", "--dry-run", "--always-make", "demo"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert "make_venv.sh .venv\n" in done.stdout
    assert "humble" not in done.stdout
    other = subprocess.run(
        [*command, "FPT_ROS_DISTRO=kilted"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "make_venv.sh .venv-kilted\n" in other.stdout


def test_env_sh_replaces_the_variables_of_another_ros(tmp_path: Path):
    (tmp_path / "rclpy.py").write_text("raise ImportError('that of another ROS')")
    environment = {**os.environ, **FOREIGN, "PYTHONPATH": str(tmp_path)}
    environment.pop("FPT_ROS_DISTRO", None)
    script = ". scripts/env.sh && python -c 'import rclpy' && env"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "ROS_DISTRO=jazzy\n" in done.stdout
    assert "humble" not in done.stdout


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "scripts/nodes").iterdir()))
def test_executable_explains_itself_and_refuses_wrong_arguments(name: str):
    executable = [sys.executable, str(Path(get_package_prefix("fpt_ros"), "lib/fpt_ros", name))]
    shown = subprocess.run([*executable, "--help"], capture_output=True, text=True, check=True)
    assert len(shown.stdout.splitlines()) > 3
    refused = subprocess.run(
        [*executable, "--nonsense"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert "--nonsense" in line


def test_demo_without_rosbags_says_how_to_install_it(tmp_path: Path):
    (tmp_path / "rosbags.py").write_text("raise ModuleNotFoundError(name='rosbags')")
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    }  # fmt: skip
    demo = Path(get_package_prefix("fpt_ros"), "lib/fpt_ros/fpt_demo")
    ended = subprocess.run(
        [sys.executable, str(demo)], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "pip install" in line and "rosbags" in line
    assert "rosbags" in re.search("pip install (torch .*)", (ROOT / "README.md").read_text()).group(
        1
    )


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive, unpacked; made from a copy, since building leaves files in the source."""
    copy, out = tmp_path_factory.mktemp("copy") / "source", tmp_path_factory.mktemp("out")
    built = shutil.ignore_patterns(
        ".*", "build*", "install*", "log", "log-*", "data", "runs", "demo"
    )
    caches = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(
        ROOT,
        copy,
        ignore=lambda folder, names: (built if folder == str(ROOT) else caches)(folder, names),
    )
    code = f"from setuptools.build_meta import build_sdist; build_sdist({str(out)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=copy, check=True, capture_output=True)
    with tarfile.open(next(out.glob("*.tar.gz"))) as tar:
        tar.extractall(out, filter="data")
    return next(path for path in out.iterdir() if path.is_dir())


def test_source_archive_has_what_both_builds_need(archive: Path):
    wanted = [*INTERFACES, *(ROOT / "fpt_ros/weights").iterdir()]
    wanted += sources("fpt_ros", "launch", "test")
    wanted += [path for path in (ROOT / "fpt_ros/web/static").rglob("*") if path.is_file()]
    wanted += [path for path in (ROOT / "recordings").rglob("*") if path.is_file()]
    names = ("package.xml", "CMakeLists.txt", "constraints.txt", "config/fpt.yaml", "LICENSE")
    wanted += [*(ROOT / "scripts/nodes").iterdir(), *(ROOT / name for name in names)]
    missing = [path for path in wanted if not (archive / path.relative_to(ROOT)).exists()]
    assert missing == []


@pytest.fixture(scope="module")
def wheel(archive: Path) -> Path:
    """The library's wheel, built from the source archive."""
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "."]
    subprocess.run(command, cwd=archive, check=True, capture_output=True)
    return next(archive.glob("*.whl"))


def test_wheel_has_the_version_of_package_xml_and_all_files(wheel: Path):
    assert wheel.name.startswith(f"fpt_ros-{PACKAGE.findtext('version')}-")
    files = set(zipfile.ZipFile(wheel).namelist())
    weights = (ROOT / "fpt_ros/weights").glob("*.safetensors")
    pages = [path for path in (ROOT / "fpt_ros/web/static").rglob("*") if path.is_file()]
    wanted = [*sources("fpt_ros"), *weights, *pages, ROOT / "fpt_ros/py.typed"]
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
