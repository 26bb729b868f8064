# SPDX-License-Identifier: Apache-2.0
"""Makes the CMake files of the ROS wheels in this Python's environment usable.

They carry the paths that Python's and NumPy's headers, and Fast DDS's own copy of tinyxml2, had
where the wheels were built.
"""

import re
import sys
import sysconfig
from pathlib import Path

import numpy

PYTHON_HEADERS = re.compile(r"/opt/python/[^;\"\s]*/include/python3\.\d+t?")
NUMPY_HEADERS = re.compile(r"/opt/python/[^;\"\s]*/numpy/_?core/include")
TINYXML = "/usr/lib64/libtinyxml2.so"  # rclcpp wants to link it


def fix(text: str) -> str:
    text = PYTHON_HEADERS.sub(sysconfig.get_path("include"), text)
    text = NUMPY_HEADERS.sub(numpy.get_include(), text)
    for bundled in Path(sysconfig.get_path("purelib")).glob("ros_fast*.libs/libtinyxml2*"):
        text = text.replace(TINYXML, str(bundled))
    return text


for path in Path(sys.prefix, "share").glob("*/cmake/*.cmake"):
    original = path.read_text()
    if fix(original) != original:
        path.write_text(fix(original))
