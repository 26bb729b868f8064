# SPDX-License-Identifier: Apache-2.0
"""Images of every encoding to RGB, against arrays made without the converter."""

from __future__ import annotations

import array
from types import SimpleNamespace

import numpy as np
import pytest

from fpt_ros.encodings import FULL_RANGE, NO_PICTURES, PICTURES, ImageError, NoPictureError
from fpt_ros.images import Reading, image_to_rgb

HEIGHT, WIDTH = 6, 10
KINDS = ((8, "U"), (8, "S"), (16, "U"), (16, "S"), (32, "S"), (32, "F"), (64, "F"))


def scene(width, height):
    """A picture that is different everywhere."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], -1).astype(np.uint8)


RGB = scene(WIDTH, HEIGHT)
WIDE = RGB.astype(np.uint16) * 257  # the same in 16 bits


def message(samples, encoding, padding=0, bigendian=False):
    """An image message of [h, w, c] samples, each row followed by `padding` bytes of noise."""
    if samples.dtype.itemsize == 2:
        samples = samples.astype(">u2" if bigendian else "<u2")
    rows = np.ascontiguousarray(samples).reshape(len(samples), -1).view(np.uint8)
    noise = np.full((len(samples), padding), 0xA5, np.uint8)
    data = np.hstack([rows, noise])
    return SimpleNamespace(
        height=samples.shape[0],
        width=samples.shape[1],
        encoding=encoding,
        is_bigendian=int(bigendian),
        step=data.shape[1],
        data=array.array("B", data.tobytes()),
    )


def with_alpha(rgb):
    return np.dstack([rgb, np.full(rgb.shape[:2], 77, rgb.dtype)])


GREY = np.repeat(RGB[..., :1], 3, axis=-1)
COLOUR = {
    "rgb8": RGB,
    "bgr8": RGB[..., ::-1],
    "8UC3": RGB[..., ::-1],
    "rgba8": with_alpha(RGB),
    "bgra8": with_alpha(RGB[..., ::-1]),
    "8UC4": with_alpha(RGB[..., ::-1]),
    "rgb16": WIDE,
    "bgr16": WIDE[..., ::-1],
    "rgba16": with_alpha(WIDE),
    "bgra16": with_alpha(WIDE[..., ::-1]),
}
MONO = {
    "mono8": GREY[..., :1],
    "8UC1": GREY[..., :1],
    "mono16": WIDE[..., :1],
}


@pytest.mark.parametrize("padding", [0, 1, 3, 6])
@pytest.mark.parametrize("bigendian", [False, True])
@pytest.mark.parametrize(("encoding", "samples"), (COLOUR | MONO).items())
def test_colour_and_mono(encoding, samples, bigendian, padding):
    rgb = image_to_rgb(message(samples, encoding, padding, bigendian))
    assert rgb.dtype == np.uint8 and rgb.flags.c_contiguous
    np.testing.assert_array_equal(rgb, GREY if encoding in MONO else RGB)


def test_sixteen_bits_are_rounded_to_eight():
    samples = np.array([[[0], [128], [129], [32768], [65406], [65407], [65535]]], np.uint16)
    rgb = image_to_rgb(message(samples, "mono16"))
    np.testing.assert_array_equal(rgb[0, :, 0], np.rint(samples[0, :, 0] / 257))


PATTERNS = {"rggb": "RGGB", "bggr": "BGGR", "gbrg": "GBRG", "grbg": "GRBG"}


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("pattern", "letters"), PATTERNS.items())
def test_bayer(pattern, letters, bits):
    """A mosaic of an even colour: each pixel keeps one of its three samples."""
    colour = np.array([200, 120, 40], np.uint16)
    tile = [colour["RGB".index(letter)] for letter in letters]
    mosaic = np.tile(np.array(tile).reshape(2, 2), (8, 8))
    samples = mosaic * 257 if bits == 16 else mosaic.astype(np.uint8)
    rgb = image_to_rgb(message(samples[..., None], f"bayer_{pattern}{bits}", padding=2))
    np.testing.assert_array_equal(rgb[2:-2, 2:-2], np.broadcast_to(colour, (12, 12, 3)))


def yuv(rgb):
    """BT.601 with the studio range, in floating point."""
    r, g, b = np.moveaxis(rgb.astype(float), -1, 0)
    y = 16 + (65.481 * r + 128.553 * g + 24.966 * b) / 255
    u = 128 + (-37.797 * r - 74.203 * g + 112.0 * b) / 255
    v = 128 + (112.0 * r - 93.786 * g - 18.214 * b) / 255
    return y, u, v


@pytest.mark.parametrize(
    ("encoding", "order"),
    [("yuv422", "uyvy"), ("uyvy", "uyvy"), ("yuv422_yuy2", "yuyv"), ("yuyv", "yuyv")],
)
@pytest.mark.parametrize("padding", [0, 4])
def test_yuv(encoding, order, padding):
    rgb = np.repeat(scene(5, HEIGHT), 2, axis=1)  # pairs of pixels share their colour
    y, u, v = (np.rint(plane).astype(np.uint8) for plane in yuv(rgb))
    chroma = np.where(np.arange(10) % 2 == 0, u, v)
    pair = (chroma, y) if order == "uyvy" else (y, chroma)
    got = image_to_rgb(message(np.stack(pair, axis=-1), encoding, padding))
    np.testing.assert_allclose(got.astype(int), rgb.astype(int), atol=3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"encoding": "nv21"}, ["encoding is 'nv21'", "rgb8", "bayer_rggb8", "yuv422_yuy2"]),
        ({"encoding": ""}, ["encoding is ''"]),
        ({"width": 0}, ["width x height is 0 x 6"]),
        ({"height": 0}, ["width x height is 10 x 0"]),
        ({"step": 29}, ["step is 29", "at least 30"]),
        ({"data": array.array("B", bytes(179))}, ["data has 179 bytes", "at least 180"]),
        ({"encoding": "yuv422", "width": 9}, ["width is 9", "even"]),
        (
            {"width": 60000, "height": 60000, "step": 180000},
            ["60000 x 60000 = 3600000000 pixels", "at most 67108864 (max_image_pixels)"],
        ),
    ],
)
def test_refused_with_what_is_wrong(changes, words):
    wrong = message(RGB, "rgb8")
    for field, value in changes.items():
        setattr(wrong, field, value)
    with pytest.raises(ImageError) as error:
        image_to_rgb(wrong)
    assert all(word in str(error.value) for word in words)


def test_last_row_needs_no_padding():
    padded = message(RGB, "rgb8", padding=4)
    padded.data = padded.data[:-4]
    np.testing.assert_array_equal(image_to_rgb(padded), RGB)


KNOWN_TO_ROS = [
    *(f"{bits}{kind}C{channels}" for bits, kind in KINDS for channels in (1, 2, 3, 4)),
    *("nv21", "nv24", "16UC5", "32FC12", "RGB8", "rgb8 "),
]


@pytest.mark.parametrize("encoding", [name for name in KNOWN_TO_ROS if name not in PICTURES])
def test_what_is_no_picture_is_refused_by_name(encoding):
    """All encodings of image_encodings.hpp that are not in the table, and some that are in none."""
    deep = encoding in NO_PICTURES
    with pytest.raises(NoPictureError if deep else ImageError, match=f"'{encoding}'") as error:
        image_to_rgb(message(WIDE[..., :1], encoding))
    assert isinstance(error.value, NoPictureError) == deep
    assert "must be one of rgb8, bgr8" in str(error.value)


THERMAL = Reading(sample_range=(7000, 7510))


@pytest.mark.parametrize("encoding", ["mono16", "16UC1"])
@pytest.mark.parametrize("bigendian", [False, True])
def test_a_range_of_samples(encoding, bigendian):
    """A thermal camera's few grey values in the middle of 16 bits become all of 8."""
    samples = np.array([[[0], [7000], [7002], [7100], [7510], [7600], [65535]]], np.uint16)
    rgb = image_to_rgb(message(samples, encoding, bigendian=bigendian), THERMAL)
    assert rgb[0, :, 0].tolist() == [0, 0, 1, 50, 255, 255, 255]


def test_a_range_concerns_no_picture_of_8_bits():
    rgb = image_to_rgb(message(RGB, "rgb8"), THERMAL)
    np.testing.assert_array_equal(rgb, RGB)


def test_a_limit_on_pixels():
    exact = Reading(max_pixels=HEIGHT * WIDTH)
    np.testing.assert_array_equal(image_to_rgb(message(RGB, "rgb8"), exact), RGB)
    with pytest.raises(ImageError, match="10 x 6 = 60 pixels: must be at most 59"):
        image_to_rgb(message(RGB, "rgb8"), Reading(max_pixels=HEIGHT * WIDTH - 1))
    assert Reading().sample_range == FULL_RANGE


class Buffer:
    """As rosidl_buffer.Buffer: has a length and gives bytes, but is no buffer to Python."""

    def __init__(self, data):
        self._data = bytes(data)

    def __len__(self):
        return len(self._data)

    def to_bytes(self):
        return self._data


def test_data_that_is_no_array():
    image = message(RGB, "rgb8")
    image.data = Buffer(image.data)
    np.testing.assert_array_equal(image_to_rgb(image), RGB)
    image.data = RGB.ravel().tolist()
    with pytest.raises(ImageError, match="data is a list: must be bytes, an array or a rosidl"):
        image_to_rgb(image)
