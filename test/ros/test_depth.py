# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import array

import numpy as np
import pytest
from sensor_msgs.msg import Image

from fpt_ros.geometry.depth import read_depth
from fpt_ros.images import ImageError
from fpt_ros.ros.depth import check_depth, depth_array


@pytest.mark.parametrize(
    ("encoding", "samples"),
    [
        ("16UC1", np.array([[1500, 0, 65535]], "<u2")),
        ("32FC1", np.array([[1.5, np.nan, 65.535]], "<f4")),
        ("32FC1", np.array([[1.5, np.inf, 65.535]], ">f4")),
        ("32FC1", np.array([[1.5, -1.0, 65.535]], "<f4")),
    ],
)
def test_depth_is_metres_and_holes_are_holes(encoding, samples):
    row = samples.tobytes() + b"padding!"
    image = Image(height=2, width=3, encoding=encoding, step=len(row))
    image.is_bigendian = int(samples.dtype.byteorder == ">")
    image.data = array.array("B", 2 * row)
    check_depth(image, 6)
    found = read_depth(depth_array(image))
    np.testing.assert_allclose(found, 2 * [[1.5, np.nan, 65.535]], rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"encoding": "rgb8"}, "encoding is 'rgb8': must be 16UC1 or 32FC1"),
        ({"width": 0}, "0 x 2: must be 1 to 6 pixels"),
        ({"width": 4}, "4 x 2: must be 1 to 6 pixels"),
        ({"step": 5}, "step is 5: must be at least 6"),
        ({"step": 7}, "data has 12 bytes: 2 rows of 7 are needed"),
    ],
)
def test_what_is_no_depth_image_is_refused(changes, complaint):
    fields = {"height": 2, "width": 3, "encoding": "16UC1", "step": 6, **changes}
    image = Image(**fields, data=array.array("B", bytes(12)))
    with pytest.raises(ImageError, match=complaint):
        check_depth(image, 6)
