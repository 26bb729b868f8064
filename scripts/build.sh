#!/bin/bash
# Builds the package with colcon into $1 (install/ or install-kilted/), as a robot's workspace
# does. Symbolic links: edited Python files need no new build, new files do.
set -euo pipefail
cd "$(dirname "$0")/.."
install=$1
build=${install/install/build}
log=${install/install/log}

# CMake refuses a virtual environment inside the source folder, so it sees the source through
# this link, as src/fpt_ros of a workspace.
mkdir -p "$build/src"
ln -sfn ../.. "$build/src/fpt_ros"

rm -f "$install/.built"
. scripts/env.sh
colcon --log-level error --log-base "$log" build --symlink-install \
    --paths "$build/src/fpt_ros" --build-base "$build" --install-base "$install" \
    --cmake-args -DPython3_EXECUTABLE="$VIRTUAL_ENV/bin/python" -DBUILD_TESTING=OFF
touch "$install/.built"
