# SPDX-License-Identifier: Apache-2.0
"""What a camera image and pokes tell of every point's motion.

`from fpt_ros import Predictor` is all that a user of the library needs. PyTorch is imported only
then: the messages (`fpt_ros.msg`) and launch files do without it.
"""

from __future__ import annotations

from pathlib import Path
from pkgutil import extend_path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fpt_ros.inference.predictor import Predictor

    __version__: str

__all__ = ["Predictor", "__version__"]

# The messages (msg, srv, action) are generated into the installed half of this package.
__path__ = extend_path(__path__, __name__)


def __getattr__(name: str) -> Any:
    if name == "Predictor":
        from fpt_ros.inference.predictor import Predictor

        return Predictor
    if name == "__version__":
        return _version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    """That of package.xml, which lies beside this folder in a checkout and under share/ where ROS
    installs it; a wheel carries it in its metadata."""
    from importlib import metadata
    from xml.etree import ElementTree

    above = Path(__file__).resolve().parents
    for path in [above[1] / "package.xml", *(p / "share/fpt_ros/package.xml" for p in above[1:6])]:
        if path.is_file():
            return ElementTree.parse(path).findtext("version", "")
    return metadata.version("fpt_ros")
