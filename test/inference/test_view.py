# SPDX-License-Identifier: Apache-2.0
"""Pixels and the model's square: the map, its inverse on flows, and the picture itself."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from fpt_ros.inference.view import FITS, View, check_points, check_pokes, grid_points
from fpt_ros.model.image_embedder import central_square, resize


@pytest.mark.parametrize(
    ("fit", "size", "pixel", "unit"),
    [
        ("crop", (640, 480), (80 - 0.5, -0.5), (0, 0)),  # outer corner of the view
        ("crop", (640, 480), (559.5, 479.5), (1, 1)),
        ("crop", (640, 480), (319.5, 239.5), (0.5, 0.5)),
        ("crop", (640, 480), (-0.5, 239.5), (-80 / 480, 0.5)),
        ("pad", (640, 480), (-0.5, -0.5), (0, 80 / 640)),
        ("pad", (480, 640), (479.5, 639.5), (560 / 640, 1)),
        ("stretch", (640, 480), (639.5, 479.5), (1, 1)),
        ("stretch", (640, 480), (319.5, 119.5), (0.5, 0.25)),
    ],
)
def test_positions(fit, size, pixel, unit):
    view = View(*size, fit)
    np.testing.assert_allclose(view.to_unit(np.array([pixel])), [unit], atol=1e-12)


def test_flows_scale_with_the_view():
    flow = np.array([[64.0, 48.0]])
    np.testing.assert_allclose(View(640, 480, "crop").flow_to_unit(flow), [[64 / 480, 0.1]])
    np.testing.assert_allclose(View(640, 480, "pad").flow_to_unit(flow), [[0.1, 48 / 640]])
    np.testing.assert_allclose(View(640, 480, "stretch").flow_to_unit(flow), [[0.1, 0.1]])


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(640, 480), (301, 500), (64, 64), (33, 97), (1, 1)])
def test_a_mark_in_the_image_is_where_the_map_says(fit, size):
    width, height = size
    empty = np.zeros((height, width, 3), np.uint8)
    marked = empty.copy()
    x, y = width // 2 + width // 8, height // 2 - height // 8
    marked[y, x] = 255
    view = View(width, height, fit)
    with_mark, without = (view.square(torch.from_numpy(i), 256)[0, 0] for i in (marked, empty))
    square = (with_mark - without).numpy()
    u, v = view.to_unit(np.array([[x, y]]))[0]
    rows, columns = np.mgrid[0:256, 0:256]
    weight = square / square.sum()
    if size != (1, 1):
        assert (weight * columns).sum() == pytest.approx(u * 256 - 0.5, abs=1.0)
        assert (weight * rows).sum() == pytest.approx(v * 256 - 0.5, abs=1.0)


@pytest.mark.parametrize("size", [(640, 480), (480, 641), (77, 50), (60, 56), (1280, 1280)])
def test_crop_is_what_the_model_was_trained_on(size):
    width, height = size
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    square = View(width, height).square(torch.from_numpy(image), 56)
    images = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 127.5 - 1
    torch.testing.assert_close(square, resize(central_square(images), 56), atol=1e-6, rtol=0)


def in_float(view, image, size):
    """The view resized in float32, whatever it costs."""
    left, top = view.corner
    width, height = view.sides
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 127.5 - 1
    if view.fit == "crop":
        pixels = pixels[..., top : top + height, left : left + width]
    if view.fit == "pad":
        right, bottom = left + width - view.width, top + height - view.height
        pixels = F.pad(pixels, (-left, right, -top, bottom))
    return F.interpolate(pixels, (size, size), mode="bilinear", antialias=True)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(2048, 300), (1300, 1310), (2000, 1500)])
def test_large_pictures_are_resized_to_within_half_a_grey_level(fit, size):
    width, height = size
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    image[height // 3 : height // 2] = rng.integers(0, 2, (1, width, 3)) * 255  # sharp edges
    view = View(width, height, fit)
    square, exact = view.square(torch.from_numpy(image), 64), in_float(view, image, 64)
    levels = ((square - exact).abs() * 127.5).numpy()
    assert levels.max() <= 0.51
    assert levels.mean() <= 0.2
    assert square.abs().max() <= 1


def test_a_4k_picture_is_never_converted_whole():
    class LargestFloat(TorchDispatchMode):
        largest = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            if result.dtype == torch.float32:
                self.largest = max(self.largest, result.numel())
            return result

    image = torch.zeros(2160, 3840, 3, dtype=torch.uint8)
    with LargestFloat() as mode:
        View(3840, 2160).square(image, 224)
    assert mode.largest == 3 * 2160 * 224


def test_grid_points_are_cell_centres_row_by_row():
    expected = [[0.5, 0.5], [2.5, 0.5], [0.5, 2.5], [2.5, 2.5]]
    np.testing.assert_array_equal(grid_points(4, 4, 2, 2), expected)
    grid = grid_points(640, 480, 32, 24)
    check_points(grid, 640, 480)
    np.testing.assert_array_equal(grid[0], [9.5, 9.5])
    np.testing.assert_array_equal(grid[1], [29.5, 9.5])


@pytest.mark.parametrize("bad", [-0.6, 639.6, np.nan, np.inf, -np.inf])
def test_points_off_the_image_are_named(bad):
    with pytest.raises(ValueError, match=rf"x\[1\] is {bad}: must lie in \[-0.5, 639.5\]"):
        check_points(np.array([[0.0, 0.0], [bad, 0.0]]), 640, 480)
    with pytest.raises(ValueError, match=r"pokes\[0\].x is"):
        check_pokes(np.array([[bad, 0.0, 1.0, 1.0]]), 640, 480)


def test_pokes_must_be_finite():
    with pytest.raises(ValueError, match=r"pokes\[0\].dy is nan: must be a finite number"):
        check_pokes(np.array([[1.0, 1.0, 1.0, np.nan]]), 640, 480)
    check_pokes(np.array([[-0.5, 479.5, 1e3, -1e3]]), 640, 480)


def test_bad_views_are_refused():
    with pytest.raises(ValueError, match="fit is 'fill': must be one of crop, pad, stretch"):
        View(4, 4, "fill")
    with pytest.raises(ValueError, match="0 x 4"):
        View(0, 4)
