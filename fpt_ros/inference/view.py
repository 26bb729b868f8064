# SPDX-License-Identifier: Apache-2.0
"""Pixels of an image and the unit square of the model's view, there and back.

Image points are pixels: x right, y down, (0, 0) the centre of the top-left pixel. The model sees
a square whose outer corners are (0, 0) and (1, 1).
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

FITS = ("crop", "pad", "stretch")
POKE_FIELDS = ("x", "y", "dx", "dy")
EXACT_UP_TO = 1280
"""Pixels of a view's longer side up to which it is resized in float32 alone."""

Values = TypeVar("Values", np.ndarray, Tensor)
"""Arrays stay arrays, tensors stay tensors, with their gradients."""


@dataclasses.dataclass(frozen=True)
class View:
    """How an image of `width` x `height` pixels lies in the model's square.

    `crop` takes the central square, as the model was trained; `pad` adds grey margins to show all
    of the image; `stretch` squeezes the longer side. Points outside the view have unit
    coordinates below 0 or above 1.

    Raises:
        ValueError: an unknown fit, or an image without pixels.
    """

    width: int
    height: int
    fit: str = "crop"

    def __post_init__(self) -> None:
        check_fit(self.fit)
        if self.width < 1 or self.height < 1:
            raise ValueError(f"the image is {self.width} x {self.height}: must have pixels")

    @property
    def sides(self) -> tuple[int, int]:
        """Width and height of the view, image pixels: what one unit is in x and in y."""
        if self.fit == "stretch":
            return self.width, self.height
        side = (min if self.fit == "crop" else max)(self.width, self.height)
        return side, side

    @property
    def corner(self) -> tuple[int, int]:
        """Image pixels left of and above the view; negative where it is padded."""
        width, height = self.sides
        return round((self.width - width) / 2), round((self.height - height) / 2)

    def to_unit(self, points: Values) -> Values:
        """Pixel positions [..., 2] to the model's."""
        corner, sides = (_like(points, pair) for pair in (self.corner, self.sides))
        return (points + 0.5 - corner) / sides

    def flow_to_unit(self, flow: Values) -> Values:
        """Displacements [..., 2] in pixels to the model's unit."""
        return flow / _like(flow, self.sides)

    def square(self, image: UInt8[Tensor, "h w 3"], size: int) -> Float[Tensor, "1 3 size size"]:
        """The view as the model takes it: values in [-1, 1], resized bilinearly with antialiasing.

        On CPUs, views of more than `EXACT_UP_TO` pixels a side are never converted to float32
        whole: their longer side is resized in whole grey levels, several times as fast. That is
        off by half a grey level (1 / 255) at most.
        """
        left, top = self.corner
        width, height = self.sides
        if self.fit == "crop":
            image = image[top : top + height, left : left + width]
        large = image.device.type == "cpu" and max(width, height) > EXACT_UP_TO
        pixels = (image if large else image.float()).permute(2, 0, 1)[None]
        if large:
            rows, columns = image.shape[:2]
            first = (rows, size) if columns >= rows else (size, columns)  # what `pad` leaves alone
            pixels = _resized(pixels, *first).float()
        if self.fit == "pad":
            right, bottom = left + width - self.width, top + height - self.height
            pixels = F.pad(pixels, (-left, right, -top, bottom), value=127.5)
        return _resized(pixels, size, size) / 127.5 - 1


def _resized(
    pixels: Float[Tensor, "1 3 h w"] | UInt8[Tensor, "1 3 h w"], height: int, width: int
) -> Float[Tensor, "1 3 height width"] | UInt8[Tensor, "1 3 height width"]:
    if pixels.shape[-2:] == (height, width):
        return pixels
    return F.interpolate(pixels, size=(height, width), mode="bilinear", antialias=True)


def _like(values: Values, pair: tuple[int, int]) -> Values:
    """The pair as an array or a tensor, as `values` are."""
    if isinstance(values, Tensor):
        return torch.tensor(pair, dtype=values.dtype, device=values.device)
    return np.asarray(pair)


def check_fit(fit: str) -> None:
    """ValueError for an unknown one."""
    if fit not in FITS:
        raise ValueError(f"fit is {fit!r}: must be one of {', '.join(FITS)}")


def grid_points(width: int, height: int, columns: int, rows: int) -> Float[np.ndarray, "n 2"]:
    """Centres of a grid of cells over the whole image, pixels, row by row."""
    x = (np.arange(columns, dtype=np.float32) + 0.5) * width / columns - 0.5
    y = (np.arange(rows, dtype=np.float32) + 0.5) * height / rows - 0.5
    return np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)


def check_points(points: Float[np.ndarray, "n 2"], width: int, height: int) -> None:
    """Refuse points that are not finite or not on the image.

    Raises:
        ValueError: naming the first such value, its place and what is allowed.
    """
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"points have shape {points.shape}: must be [n, 2]")
    _check_on_image(points, width, height, lambda i, axis: f"{'xy'[axis]}[{i}]")


def check_pokes(pokes: Float[np.ndarray, "p 4"], width: int, height: int) -> None:
    """Refuse pokes that are not finite or not on the image.

    Raises:
        ValueError: naming the first such value, its place and what is allowed.
    """
    if pokes.ndim != 2 or pokes.shape[1] != 4:
        raise ValueError(f"pokes have shape {pokes.shape}: must be [p, 4] (x, y, dx, dy)")
    finite = np.isfinite(pokes)
    if not finite.all():
        i, field = np.argwhere(~finite)[0]
        raise ValueError(
            f"pokes[{i}].{POKE_FIELDS[field]} is {pokes[i, field]}: must be a finite number"
        )
    _check_on_image(pokes[:, :2], width, height, lambda i, axis: f"pokes[{i}].{'xy'[axis]}")


def _check_on_image(points, width, height, name) -> None:  # type: ignore[no-untyped-def]
    highest = np.asarray([width, height]) - 0.5
    inside = (points >= -0.5) & (points <= highest)  # false for NaN, too
    if not inside.all():
        i, axis = np.argwhere(~inside)[0]
        raise ValueError(
            f"{name(i, axis)} is {points[i, axis]}: must lie in [-0.5, {highest[axis]}] "
            f"(the image is {width} x {height} pixels)"
        )
