# SPDX-License-Identifier: Apache-2.0
# Puts a bash or zsh shell into the environment that `make` has set up:
#   . scripts/env.sh                           Jazzy
#   FPT_ROS_DISTRO=kilted . scripts/env.sh     another distribution
# Variables of an installed ROS are replaced, not extended: two ROS versions in one process crash.

_fpt_root=$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")/.." && pwd)
export ROS_DISTRO=${FPT_ROS_DISTRO:-jazzy}
_fpt_suffix=-$ROS_DISTRO
if [ "$ROS_DISTRO" = jazzy ]; then _fpt_suffix=; fi
_fpt_venv=$_fpt_root/.venv$_fpt_suffix
_fpt_prefix=$_fpt_root/install$_fpt_suffix/fpt_ros

if [ ! -f "$_fpt_venv/.ready" ]; then
    echo "scripts/env.sh: no $_fpt_venv yet: run 'make build FPT_ROS_DISTRO=$ROS_DISTRO' first" >&2
    return 1
fi
. "$_fpt_venv/bin/activate"

_fpt_python=$(cd "$_fpt_venv/lib" && echo python3.*)
export AMENT_PREFIX_PATH=$_fpt_prefix:$_fpt_venv
export CMAKE_PREFIX_PATH=$AMENT_PREFIX_PATH
unset COLCON_PREFIX_PATH
export PYTHONPATH=$_fpt_prefix/lib/$_fpt_python/site-packages

# The wheels' start-up hook would compute the library path and start Python a second time.
LD_LIBRARY_PATH=$_fpt_prefix/lib:$_fpt_venv/lib
for _fpt_libraries in "$_fpt_venv/lib/$_fpt_python/site-packages"/ros_*.libs; do
    LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$_fpt_libraries
done
export LD_LIBRARY_PATH
export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1

export RMW_IMPLEMENTATION=rmw_fastrtps_cpp
export ROS_AUTOMATIC_DISCOVERY_RANGE=${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}
# The default transport loses most large images, see README.md.
_fpt_profiles=$_fpt_root/config/fastdds.xml
if [ "$ROS_DISTRO" = jazzy ]; then
    export FASTRTPS_DEFAULT_PROFILES_FILE=${FASTRTPS_DEFAULT_PROFILES_FILE:-$_fpt_profiles}
else
    export FASTDDS_DEFAULT_PROFILES_FILE=${FASTDDS_DEFAULT_PROFILES_FILE:-$_fpt_profiles}
fi
# PyTorch's threads spin only shortly while they wait for each other, as they do in the node.
export GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-3000}

unset _fpt_root _fpt_profiles _fpt_suffix _fpt_venv _fpt_prefix _fpt_python _fpt_libraries
