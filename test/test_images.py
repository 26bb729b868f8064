"""Images of every encoding to RGB, against arrays made without the converter."""

from __future__ import annotations

import array
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from fpt_ros.images import ImageError, compressed_to_rgb, image_to_rgb

HEIGHT, WIDTH = 6, 10


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
}
MONO = {
    "mono8": GREY[..., :1],
    "8UC1": GREY[..., :1],
    "mono16": WIDE[..., :1],
    "16UC1": WIDE[..., :1],
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
        ({"encoding": "32FC1"}, ["encoding is '32FC1'", "rgb8", "bayer_rggb8", "yuv422_yuy2"]),
        ({"encoding": ""}, ["encoding is ''"]),
        ({"width": 0}, ["width x height is 0 x 6"]),
        ({"height": 0}, ["width x height is 10 x 0"]),
        ({"step": 29}, ["step is 29", "at least 30"]),
        ({"data": array.array("B", bytes(179))}, ["data has 179 bytes", "at least 180"]),
        ({"encoding": "yuv422", "width": 9}, ["width is 9", "even"]),
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


def compressed(samples, extension):
    data = cv2.imencode(extension, samples)[1].tobytes()
    return SimpleNamespace(format=extension, data=data)


def test_png():
    np.testing.assert_array_equal(compressed_to_rgb(compressed(RGB[..., ::-1], ".png")), RGB)


def test_png_with_alpha():
    samples = with_alpha(RGB[..., ::-1])
    np.testing.assert_array_equal(compressed_to_rgb(compressed(samples, ".png")), RGB)


def test_grey_png():
    np.testing.assert_array_equal(compressed_to_rgb(compressed(GREY[..., 0], ".png")), GREY)


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bit_png(channels):
    expected = GREY if channels == 1 else RGB
    samples = np.ascontiguousarray(WIDE[..., ::-1] if channels == 3 else WIDE[..., 0])
    got = compressed_to_rgb(compressed(samples, ".png"))
    np.testing.assert_allclose(got.astype(int), expected, atol=1)


def test_jpeg():
    smooth = cv2.GaussianBlur(scene(64, 48), (0, 0), 4)
    got = compressed_to_rgb(compressed(np.ascontiguousarray(smooth[..., ::-1]), ".jpg"))
    assert np.abs(got.astype(int) - smooth).mean() < 3


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\xff\xd8\xff\xe0 not a picture"])
def test_what_cannot_be_decoded(data):
    with pytest.raises(ImageError, match=f"data \\({len(data)} bytes"):
        compressed_to_rgb(SimpleNamespace(format="jpeg", data=data))
