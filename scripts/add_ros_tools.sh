#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Adds to the environment of `make` what ROS has and its Python wheels lack, from the sources:
# launch, the ros2 command and bondpy, and with the argument rclcpp also rclcpp, for the C++ example.
# (PyPI's bondpy is something else.)
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh
sources=$VIRTUAL_ENV/src/ros
packages=(bond bondpy composition_interfaces launch launch_ros launch_xml launch_yaml
    ros2cli ros2launch ros2lifecycle ros2node ros2param ros2pkg ros2run ros2topic smclib)
# Their branches are named after the distributions, but where another one stands behind the @.
repositories=(ros/bond_core@ros2 ros2/launch ros2/launch_ros ros2/ros2cli ros2/rcl_interfaces)
if [ "${1:-}" = rclcpp ]; then
    packages+=(libstatistics_collector rclcpp statistics_msgs)
    repositories+=(ros2/rclcpp ros-tooling/libstatistics_collector)
fi

mkdir -p "$sources"
for entry in "${repositories[@]}"; do
    repository=${entry%@*}
    branch=$ROS_DISTRO
    if [[ $entry == *@* ]]; then branch=${entry#*@}; fi
    folder=$sources/${repository#*/}
    if [ ! -e "$folder" ]; then
        git clone --quiet --depth 1 --branch "$branch" "https://github.com/$repository" "$folder"
    fi
done
python -m pip install --quiet --constraint constraints.txt osrf_pycommon
# colcon shall see these packages alone: of others in the same repositories it would want more.
for manifest in "$sources"/*/package.xml "$sources"/*/*/package.xml; do
    if [ ! -e "$manifest" ]; then continue; fi  # no repository has one there
    folder=${manifest%/package.xml}
    if [[ " ${packages[*]} " != *" ${folder##*/} "* ]]; then touch "$folder/COLCON_IGNORE"; fi
done
# Into the environment itself, where scripts/env.sh looks for everything.
colcon --log-level error --log-base "$sources/log" build \
    --merge-install --install-base "$VIRTUAL_ENV" \
    --base-paths "$sources" --build-base "$sources/build" \
    --cmake-args -DPython3_EXECUTABLE="$VIRTUAL_ENV/bin/python" -DBUILD_TESTING=OFF \
    -DCMAKE_SHARED_LINKER_FLAGS=-Wl,--as-needed  # not the messages' Python parts
