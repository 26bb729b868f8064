#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# MuJoCo draws without a screen through OSMesa or a driver's EGL, the one thing that no Python
# package brings.
set -euo pipefail
if /sbin/ldconfig -p | grep -q libOSMesa; then exit; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -q && apt-get install -q -y libosmesa6
elif ! /sbin/ldconfig -p | grep -q libEGL; then
    echo "The tests of the simulation draw with OSMesa: sudo apt install libosmesa6" >&2
    exit 1
fi
