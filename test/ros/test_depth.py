# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import array
import struct

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image

from fpt_ros.geometry.depth import read_depth
from fpt_ros.images import ImageError
from fpt_ros.ros.depth import check_depth, depth_array, depth_decoder


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


QUANT_A, QUANT_B = 100.0 * 101.0, 1.0 - 100.0 * 101.0 / 10.0
"""Of compressed_depth_image_transport by default: depth_quantization 100, depth_max 10 m."""
PLACES = np.array([[0.4, np.nan, 1.0], [2.0, 9.9, 12.0]], np.float32)


def compressed(encoding, samples=None, text=None, header=None):
    """A message as the plugin makes it of PLACES [m]."""
    if samples is None and encoding == "16UC1":
        samples = np.nan_to_num(PLACES * 1000).astype(np.uint16)
    elif samples is None:
        stored = np.where(PLACES < 10, QUANT_A / PLACES + QUANT_B, 0)
        samples = np.nan_to_num(stored).astype(np.uint16)
    png = cv2.imencode(".png", samples)[1].tobytes()
    if header is None:
        header = struct.pack("<iff", 0, QUANT_A, QUANT_B)
    text = f"{encoding}; compressedDepth png" if text is None else text
    return CompressedImage(format=text, data=array.array("B", header + png))


@pytest.mark.parametrize("text", ["{}; compressedDepth png", "{}; compressedDepth", "{}"])
def test_compressed_depth_is_metres_and_holes_are_holes(text):
    exact = read_depth(depth_decoder(compressed("16UC1", text=text.format("16UC1")), 6)())
    np.testing.assert_allclose(exact, PLACES, rtol=1e-6)
    rounded = read_depth(depth_decoder(compressed("32FC1", text=text.format("32FC1")), 6)())
    near = np.where(PLACES < 10, PLACES, np.nan)
    assert np.isnan(rounded[np.isnan(near)]).all()
    off = (rounded - near)[np.isfinite(near)]
    step = near[np.isfinite(near)] ** 2 / QUANT_A
    assert (off > -1e-5).all() and (off < 1.02 * step).all()
    assert off.max() > 0.1 * step.max()  # it is what is stored, not what was measured


JPEG = cv2.imencode(".jpg", np.zeros((2, 3), np.uint8))[1].tobytes()


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (compressed("32FC1", text="32FC1; compressedDepth rvl"), "rvl': must be '16UC1; compr"),
        (compressed("mono8", PLACES, "mono8; compressedDepth png"), "format is 'mono8; "),
        (
            compressed("16UC1", text="16UC1; png compressed "),
            "must be '16UC1; compressedDepth png'",
        ),
        (compressed("16UC1", np.zeros((2, 4), np.uint16)), "4 x 2: must be 1 to 6 pixels"),
        (compressed("16UC1", header=b""), "behind its header, is neither jpeg nor png"),
        (compressed("16UC1", header=bytes(12) + JPEG), "behind its header, is a jpeg: must be"),
        (compressed("32FC1", header=bytes(12)), "A = 0.0, B = 0.0: must be finite"),
        (CompressedImage(format="16UC1", data=[1, 2]), "must be 12 bytes of header and a png"),
    ],
)
def test_what_is_no_compressed_depth_is_refused_before_it_is_decoded(message, complaint):
    with pytest.raises(ImageError, match=complaint):
        depth_decoder(message, 6)


def test_a_png_that_holds_no_depth_is_refused_when_it_is_decoded():
    decode = depth_decoder(compressed("16UC1", np.zeros((2, 3), np.uint8)), 6)
    with pytest.raises(ImageError, match=r"uint8 \[2, 3\]: must be grey, of 16 bits"):
        decode()
    damaged = compressed("16UC1")
    damaged.data[len(damaged.data) - 20] ^= 255
    with pytest.raises(ImageError, match="does not fit its checksum"):
        depth_decoder(damaged, 6)()
