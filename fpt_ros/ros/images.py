"""Raw image messages to RGB arrays, with cv_bridge where it is installed and works.

It is given nothing in which it differs from rosbags-image, which converts elsewhere: padding, byte
order and 16-bit samples are dealt with before.
"""

from __future__ import annotations

import functools
import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np

from fpt_ros import images

if TYPE_CHECKING:
    from jaxtyping import UInt8
    from sensor_msgs.msg import Image

_log = logging.getLogger(__name__)


def image_to_rgb(message: Image) -> UInt8[np.ndarray, "h w 3"]:
    """RGB of a raw image, as `fpt_ros.images.image_to_rgb`; ImageError where it cannot be read."""
    return images.image_to_rgb(message, _cv_bridge())


@functools.cache
def _cv_bridge() -> images.Converter | None:
    """cv_bridge's conversion if it can convert a first pixel here."""
    pixel = SimpleNamespace(
        height=1,
        width=1,
        encoding="bgr8",
        is_bigendian=0,
        step=3,
        data=np.arange(3, dtype=np.uint8),
    )
    try:
        from cv_bridge import CvBridge

        convert = functools.partial(CvBridge().imgmsg_to_cv2, desired_encoding="rgb8")
        if convert(pixel).tolist() == [[[2, 1, 0]]]:
            return convert
    except Exception as error:
        # Where cv_bridge and NumPy do not fit together it raises anything from ImportError to
        # SystemError; rosbags-image gives the same arrays.
        _log.info("images are converted with rosbags-image, not cv_bridge: %s", error)
    return None
