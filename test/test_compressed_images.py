# SPDX-License-Identifier: Apache-2.0
"""Compressed images to RGB, against samples that the tests put into the files themselves."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from fpt_ros.encodings import ImageError, NoPictureError
from fpt_ros.images import Reading, check_compressed, compressed_to_rgb

FIXTURES = Path(__file__).parent / "fixtures/images"
RGBA = np.random.default_rng(0).integers(0, 256, (6, 10, 4), dtype=np.uint8)
RGB, GREY = RGBA[..., :3], np.repeat(RGBA[..., :1], 3, axis=-1)
RED_GREY = RGBA[..., [0, 3]]  # grey with alpha


def read(data, text="png", reading=None):
    return compressed_to_rgb(message(data, text), reading or Reading())


def message(data, text="png"):
    return SimpleNamespace(format=text, data=data)


def chunk(name, content):
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def png(samples, bits, kind, more=b""):
    """A png file of [h, w(, c)] samples, written without a library (PNG, W3C, section 11)."""
    height, width = samples.shape[:2]
    wide = samples.astype(">u2") * 257 if bits == 16 else samples.astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    head = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    parts = chunk(b"IHDR", head) + more + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + parts + chunk(b"IEND", b"")


PALETTE = np.arange(768).astype(np.uint8).reshape(256, 3)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (png(RGB, 8, 2), RGB),
        (png(RGB, 16, 2), RGB),
        (png(RGBA, 8, 6), RGB),
        (png(RGBA, 16, 6), RGB),
        (png(GREY[..., 0], 8, 0), GREY),
        (png(GREY[..., 0], 16, 0), GREY),
        (png(RED_GREY, 8, 4), GREY),
        (png(RED_GREY, 16, 4), GREY),
        (png(GREY[..., 0], 8, 3, chunk(b"PLTE", PALETTE.tobytes())), PALETTE[GREY[..., 0]]),
    ],
    ids=["rgb", "rgb16", "rgba", "rgba16", "grey", "grey16", "grey alpha", "grey alpha 16", "list"],
)
def test_every_kind_of_png(data, expected):
    rgb = read(data)
    assert rgb.flags.c_contiguous and rgb.dtype == np.uint8
    np.testing.assert_array_equal(rgb, expected)


def jpeg(rgb, *options):
    return cv2.imencode(".jpg", np.ascontiguousarray(rgb[..., ::-1]), options)[1].tobytes()


def smooth(width=64, height=48):
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, 255 - y * 5], -1).astype(np.uint8)


@pytest.mark.parametrize("options", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)])
@pytest.mark.parametrize("behind", [b"", bytes(300)])
def test_jpeg(options, behind):
    """Cameras fill their buffers up behind the picture."""
    got = read(jpeg(smooth(), *options) + behind, "jpeg")
    assert np.abs(got.astype(int) - smooth()).mean() < 3


@pytest.mark.parametrize("restarts", [0, 1])
def test_jpeg_with_restart_markers(restarts):
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = jpeg(noise, cv2.IMWRITE_JPEG_RST_INTERVAL, restarts)
    assert (b"\xff\xd0" in data) == bool(restarts)
    assert read(data, "jpeg").shape == (64, 64, 3)


@pytest.mark.parametrize(
    "text", ["", "jpeg", ".jpg", "rgb8; jpeg compressed bgr8", "bgr8; jpeg compressed bgr8", "x; y"]
)
def test_formats_of_colour(text):
    np.testing.assert_array_equal(read(png(RGB, 8, 2), text), RGB)


@pytest.mark.parametrize("text", ["rgb8; png compressed rgb8", "bgr16; png compressed rgb16"])
def test_formats_of_files_with_red_in_the_place_of_blue(text):
    """As compressed_image_transport reads what it wrote so."""
    np.testing.assert_array_equal(read(png(RGB[..., ::-1], 8, 2), text), RGB)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_a_compressed_mosaic_is_in_colour(pattern, bits):
    colour = np.array([200, 120, 40])
    tile = np.array([colour["rgb".index(letter)] for letter in pattern]).reshape(2, 2)
    got = read(png(np.tile(tile, (8, 8)), bits, 0), f"bayer_{pattern}{bits}; png compressed ")
    np.testing.assert_array_equal(got[2:-2, 2:-2], np.broadcast_to(colour, (12, 12, 3)))


def test_a_mosaic_that_was_made_colour_before_it_was_compressed():
    np.testing.assert_array_equal(read(png(RGB, 8, 2), "bayer_rggb8; png compressed bgr8"), RGB)


def test_a_mosaic_in_a_jpeg():
    colour = np.array([180, 130, 90], np.uint8)
    mosaic = np.tile([[colour[0], colour[1]], [colour[1], colour[2]]], (24, 24)).astype(np.uint8)
    data = cv2.imencode(".jpg", mosaic, [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
    got = read(data, "bayer_rggb8; jpeg compressed ")[4:-4, 4:-4]
    assert np.abs(got.mean((0, 1)) - colour).max() < 4


@pytest.mark.parametrize(
    "text",
    [
        "16UC1; png compressed ",
        "16UC1; compressedDepth png",
        "16UC1; compressedDepth",
        "32FC1; compressedDepth png",
        "32FC1; compressedDepth rvl",
        "32FC2; png compressed ",
    ],
)
def test_depth_and_motion_are_no_pictures(text):
    with pytest.raises(NoPictureError, match=text):
        read(png(GREY[..., 0], 16, 0), text)


def test_other_samples_are_refused_by_name():
    with pytest.raises(ImageError, match=r"'32SC1; png compressed '.*'32SC1'.*must be one of rgb8"):
        read(png(GREY[..., 0], 16, 0), "32SC1; png compressed ")


@pytest.mark.parametrize("encoding", ["mono16", "16UC1"])
def test_a_thermal_camera(encoding):
    samples = np.array([[0, 100, 110, 120, 255]])
    reading = Reading(sample_range=(100 * 257, 120 * 257))
    got = read(png(samples, 16, 0), f"{encoding}; png compressed ", reading)
    assert got[0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_pixels_as_they_are_stored():
    """EXIF says that a viewer should turn it; the camera's calibration does not know of that."""
    data = (FIXTURES / "exif_orientation_6.jpg").read_bytes()
    as_stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(read(data, "jpeg"), as_stored[..., ::-1])
    assert as_stored.shape == (120, 160, 3)


def test_a_jpeg_without_huffman_tables():
    """As MJPEG cameras send it."""
    data = (FIXTURES / "mjpeg_no_dht.jpg").read_bytes()
    assert b"\xff\xc4" not in data
    assert read(data, "jpeg").std() > 20


def test_colours_that_no_camera_has():
    """A jpeg's frame header says four components."""
    data = bytearray(jpeg(smooth()))
    data[data.index(b"\xff\xc0") + 9] = 4
    with pytest.raises(ImageError, match=r"jpeg of 4 colours \(CMYK\): must have 1 \(grey\) or 3"):
        read(bytes(data), "jpeg")


LIMIT = 6000 * 5000


@pytest.mark.parametrize("kind", ["png", "jpeg", "case"])
def test_a_header_that_is_too_large_costs_no_memory(kind):
    """Refused before anything is decoded; it would take gigabytes."""
    if kind == "case":
        data, size = (FIXTURES / "png_header_60000x60000.png").read_bytes(), "60000 x 60000"
    elif kind == "png":
        head = struct.pack(">IIBBBBB", 25000, 25000, 8, 2, 0, 0, 0)
        data = png(RGB, 8, 2).replace(png(RGB, 8, 2)[8:33], chunk(b"IHDR", head))
        size = "25000 x 25000"
    else:
        data = bytearray(jpeg(smooth()))
        at = data.index(b"\xff\xc0") + 5
        data[at : at + 4] = struct.pack(">HH", 64000, 65000)
        size = "65000 x 64000"
    words = f"its (png|jpeg) is {size} = [0-9]+ pixels: must be at most {LIMIT}"
    with pytest.raises(ImageError, match=words):
        check_compressed(message(bytes(data)), Reading(max_pixels=LIMIT))


def test_the_limit_is_exact():
    assert check_compressed(message(png(RGB, 8, 2)), Reading(max_pixels=60)).width == 10
    with pytest.raises(ImageError, match="10 x 6 = 60 pixels: must be at most 59"):
        check_compressed(message(png(RGB, 8, 2)), Reading(max_pixels=59))


def test_half_a_picture_is_none():
    """OpenCV 4.6 fills the rest of a jpeg with grey."""
    with pytest.raises(ImageError, match="jpeg that is cut off"):
        read((FIXTURES / "truncated_half.jpg").read_bytes(), "jpeg")
    with pytest.raises(ImageError, match="png that is cut off"):
        read(png(RGB, 8, 2)[:-1])


@pytest.mark.parametrize("options", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)])
def test_a_jpeg_cut_anywhere(options):
    data = jpeg(smooth(), *options)
    for length in range(3, len(data)):
        with pytest.raises(ImageError):
            check_compressed(message(data[:length]))
    assert check_compressed(message(data)).height == 48


WAYS = {
    "plain": (),
    "restarts": (cv2.IMWRITE_JPEG_RST_INTERVAL, 3),
    "optimised": (cv2.IMWRITE_JPEG_OPTIMIZE, 1),
    "4:4:4": (7, 0x111111),  # IMWRITE_JPEG_SAMPLING_FACTOR, which OpenCV 4.6 passes over
}


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("colour", [True, False])
def test_half_a_jpeg_with_an_end_marker_is_none(options, colour):
    """As libjpeg completes it: the rest is grey. Only the last block's loss cannot be seen."""
    picture = cv2.resize(smooth(), (100, 92))
    data = jpeg(picture if colour else picture[..., 0], *options)
    begin = data.index(b"\xff\xda") + 16
    for end in np.linspace(begin, len(data) - 80, 40).astype(int):
        cut = data[:end].rstrip(b"\xff") + b"\xff\xd9"
        with pytest.raises(ImageError, match="jpeg that is cut off"):
            read(cut)
    assert read(data).shape == (92, 100, 3)


def test_half_a_progressive_jpeg_with_an_end_marker_is_none():
    """Whatever comes before the last scan, without which nothing is exact."""
    data = jpeg(smooth(), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    last = data.rindex(b"\xff\xda")
    for end in np.linspace(data.index(b"\xff\xda") + 16, last, 40).astype(int):
        with pytest.raises(ImageError, match="jpeg that is cut off"):
            check_compressed(message(data[:end].rstrip(b"\xff") + b"\xff\xd9"))


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
def test_grey_pictures_are_whole(options):
    """Of the very grey that stands for what is missing."""
    picture = smooth()
    picture[20:, 20:] = 128
    data = jpeg(picture, *options)
    assert (cv2.imdecode(np.frombuffer(data, np.uint8), -1)[-4:, -4:] == 128).all()
    assert np.abs(read(data).astype(int) - picture).mean() < 12
    assert (read(jpeg(np.full((40, 40, 3), 128, np.uint8), *options)) == 128).all()


def test_a_png_cut_or_changed_anywhere():
    data = png(RGB, 8, 2)
    for at in range(len(data)):
        with pytest.raises(ImageError):
            check_compressed(message(data[:at]))
        with pytest.raises(ImageError):
            read(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        b"\xff\xd8\xff\xe0 not a picture",
        b"\xff\xd8\xff\xd9",
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n" + chunk(b"IEND", b""),
        png(np.zeros((0, 0, 3)), 8, 2),
    ],
)
def test_what_cannot_be_decoded(data):
    with pytest.raises(ImageError, match=f"data \\({len(data)} bytes"):
        read(data, "jpeg")
