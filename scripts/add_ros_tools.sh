#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Adds to the environment of `make` what ROS has and its Python wheels lack, from the sources:
# launch and the ros2 command, and with the argument rclcpp also rclcpp, for the C++ example.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh
sources=$VIRTUAL_ENV/src/ros
packages=(composition_interfaces launch launch_ros launch_xml launch_yaml
    ros2cli ros2launch ros2lifecycle ros2node ros2param ros2pkg ros2run ros2topic)
repositories=(ros2/launch ros2/launch_ros ros2/ros2cli ros2/rcl_interfaces)
if [ "${1:-}" = rclcpp ]; then
    packages+=(libstatistics_collector rclcpp statistics_msgs)
    repositories+=(ros2/rclcpp ros-tooling/libstatistics_collector)
fi

mkdir -p "$sources"
for repository in "${repositories[@]}"; do
    folder=$sources/${repository#*/}
    if [ ! -e "$folder" ]; then
        git clone --quiet --depth 1 --branch "$ROS_DISTRO" "https://github.com/$repository" "$folder"
    fi
done
python -m pip install --quiet --constraint constraints.txt osrf_pycommon
# colcon shall see these packages alone: of others in the same repositories it would want more.
for manifest in "$sources"/*/package.xml "$sources"/*/*/package.xml; do
    folder=${manifest%/package.xml}
    if [[ " ${packages[*]} " != *" ${folder##*/} "* ]]; then touch "$folder/COLCON_IGNORE"; fi
done
# Into the environment itself, where scripts/env.sh looks for everything.
colcon --log-level error --log-base "$sources/log" build \
    --merge-install --install-base "$VIRTUAL_ENV" \
    --base-paths "$sources" --build-base "$sources/build" \
    --cmake-args -DPython3_EXECUTABLE="$VIRTUAL_ENV/bin/python" -DBUILD_TESTING=OFF \
    -DCMAKE_SHARED_LINKER_FLAGS=-Wl,--as-needed  # not the messages' Python parts
