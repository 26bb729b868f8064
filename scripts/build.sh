#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
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
linking=()
if [ -e "$VIRTUAL_ENV/share/rclcpp" ]; then
    # Brought by scripts/add_ros_tools.sh, for the example in C++. The wheels' librcl.so wants
    # Python's library, which a C++ program has no reason to link.
    libpython=$(python -c "from sysconfig import get_config_var as var
print(var('LIBDIR') + '/' + var('LDLIBRARY'))")
    linking=(-DCMAKE_EXE_LINKER_FLAGS="-Wl,--no-as-needed,-rpath,${libpython%/*},$libpython")
fi
colcon --log-level error --log-base "$log" build --symlink-install \
    --paths "$source" --build-base "$build" --install-base "$install" \
    --cmake-args -DPython3_EXECUTABLE="$VIRTUAL_ENV/bin/python" -DBUILD_TESTING=OFF \
    "${linking[@]}"
touch "$install/.built"
