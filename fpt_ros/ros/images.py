# SPDX-License-Identifier: Apache-2.0
"""Which converter reads raw images: cv_bridge where it works, else rosbags-image.

It is given nothing in which the two differ: padding, byte order and 16-bit samples are dealt with
before, in fpt_ros.images.
"""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fpt_ros.encodings import PICTURES
from fpt_ros.images import rosbags_image

if TYPE_CHECKING:
    from fpt_ros.images import Converter

SIDE = 4


class Chosen(NamedTuple):
    """A converter that has been tried. why: cv_bridge is not the one, else empty."""

    name: str
    convert: Converter
    why: str


def choose_converter() -> Chosen:
    """The converter for this process, tried on every encoding.

    Raises:
        ValueError: neither cv_bridge nor rosbags-image can be used; says why.
    """
    wanted, missing = _tried(rosbags_image)
    try:
        from cv_bridge import CvBridge

        convert = functools.partial(CvBridge().imgmsg_to_cv2, desired_encoding="rgb8")
    except Exception as error:  # broken builds raise anything from ImportError to SystemError
        why = f"cv_bridge cannot be imported: {error}"
    else:
        found, why = _tried(convert)
        differ = [n for n in wanted if n in found and not np.array_equal(found[n], wanted[n])]
        if not why and differ:
            why = f"it reads {', '.join(differ)} otherwise than rosbags-image"
        if not why:
            return Chosen("cv_bridge", convert, "")
        why = f"cv_bridge does not work here: {why}"
    if missing:
        raise ValueError(
            f"no converter of images: {why}; rosbags-image: {missing}. Install cv_bridge with ROS, "
            "or pip install rosbags-image"
        )
    return Chosen("rosbags-image", rosbags_image, why)


def _tried(convert: Converter) -> tuple[dict[str, np.ndarray], str]:
    """Its pictures of a few pixels in each encoding, and why it cannot be used, if so."""
    found = {}
    for name, channels in sorted({(p.encoding, p.channels) for p in PICTURES.values()}):
        samples = np.random.default_rng(0).integers(0, 256, SIDE * SIDE * channels, np.uint8)
        image = SimpleNamespace(
            height=SIDE,
            width=SIDE,
            encoding=name,
            is_bigendian=0,
            step=SIDE * channels,
            data=samples,
        )
        try:
            found[name] = np.asarray(convert(image))
        except Exception as error:  # as above, at the first conversion
            return found, f"{name} cannot be converted: {type(error).__name__}: {error}"
        if found[name].shape != (SIDE, SIDE, 3) or found[name].dtype != np.uint8:
            return found, f"{name} becomes {found[name].dtype} {found[name].shape}"
        if name == "bgr8" and not np.array_equal(found[name][..., ::-1].ravel(), samples):
            return found, "bgr8 does not become rgb8"
    return found, ""
