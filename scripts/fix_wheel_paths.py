"""Makes the CMake files of the ROS wheels in this Python's environment usable.

They carry the paths that Python's and NumPy's headers had where the wheels were built.
"""

import re
import sys
import sysconfig
from pathlib import Path

import numpy

PYTHON_HEADERS = re.compile(r"/opt/python/[^;\"\s]*/include/python3\.\d+t?")
NUMPY_HEADERS = re.compile(r"/opt/python/[^;\"\s]*/numpy/_?core/include")


def fix(text: str) -> str:
    text = PYTHON_HEADERS.sub(sysconfig.get_path("include"), text)
    return NUMPY_HEADERS.sub(numpy.get_include(), text)


for path in Path(sys.prefix, "share").glob("*/cmake/*.cmake"):
    original = path.read_text()
    if fix(original) != original:
        path.write_text(fix(original))
