#!/bin/bash
# Builds the package with colcon into $1 (install/ or install-kilted/), as a robot's workspace
# does. Symbolic links: edited Python files need no new build, new files do.
set -euo pipefail
cd "$(dirname "$0")/.."
install=$1
build=${install/install/build}
log=${install/install/log}

# CMake refuses a virtual environment inside the source folder, so it sees the package through
# links in another folder, laid out as a workspace.
source=$build/src/fpt_ros
mkdir -p "$source"
for entry in CMakeLists.txt package.xml LICENSE msg srv action examples fpt_ros launch config recordings scripts; do
    ln -sfn "$PWD/$entry" "$source/$entry"
done

rm -f "$install/.built"
. scripts/env.sh
colcon --log-level error --log-base "$log" build --symlink-install \
    --paths "$source" --build-base "$build" --install-base "$install" \
    --cmake-args -DPython3_EXECUTABLE="$VIRTUAL_ENV/bin/python" -DBUILD_TESTING=OFF
touch "$install/.built"
