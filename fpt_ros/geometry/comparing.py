# SPDX-License-Identifier: Apache-2.0
"""How well moved pixels of one image fit into the other one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.geometry.changes import SMOOTHED, View
from fpt_ros.geometry.depth import depth_noise

if TYPE_CHECKING:
    from jaxtyping import Float

    from fpt_ros.geometry.camera import Camera

HIDDEN, BEHIND = 0.5, 3.0
"""What a pixel costs at most, as a share, that a motion carries off the image, or so many standard
deviations of depth behind what is seen there."""
FAR = 1e3
"""Standard deviations, where there is nothing to compare."""


def compare(
    camera: Camera,
    view: View,
    places: Float[np.ndarray, "h n 3"],
    blur: float,
    sloped: bool = True,
) -> tuple[Float[np.ndarray, "h n 4"], Float[np.ndarray, "h n"], Float[np.ndarray, "h n 4 3"]]:
    """Differences of colours and depth in standard deviations; what each pixel costs at most; and
    the differences' slopes by the places (empty unless `sloped`).

    Args:
        places: of the view's points after a motion [m, optical frame].
        blur: of the images [px]: so far may depth be off to the sides.
    """
    pixels = camera.project(places.reshape(-1, 3)).reshape(*places.shape[:2], 2)
    height, width = view.other.shape[:2]
    inside = (pixels > -0.5) & (pixels < (width - 0.5, height - 0.5))
    on = inside[..., 0] & inside[..., 1]
    pixels = np.where(on[..., None], pixels, 0.0)
    near = np.rint(pixels).astype(np.intp)
    there = view.other.reshape(-1, 12).take(near[..., 1] * width + near[..., 0], axis=0)
    across, down = np.moveaxis((pixels - near).astype(np.float32)[..., None], -2, 0)
    seen = there[..., :3] + across * there[..., 3:6] + down * there[..., 6:9]
    colour = _whitened(view, seen - view.colours)
    z = places[..., 2]
    spread = SMOOTHED * depth_noise(z) + 0.5 * blur * np.abs(z) / camera.fx
    deep = there[..., 9] + across[..., 0] * there[..., 10] + down[..., 0] * there[..., 11]
    depth = (z - deep) / spread
    known = on & np.isfinite(depth)
    depth = np.where(known, depth, 0.0)
    price = np.where(on & (depth < BEHIND), view.price, HIDDEN * view.price)
    residual = np.concatenate([np.where(on[..., None], colour, FAR), depth[..., None]], axis=-1)
    slope = np.empty(0)
    if sloped:
        slope = _slopes(camera, view, places, there, on, known / spread)
    return residual, price, slope


def _slopes(
    camera: Camera,
    view: View,
    places: Float[np.ndarray, "h n 3"],
    there: Float[np.ndarray, "h n 12"],
    on: Float[np.ndarray, "h n"],
    weight: Float[np.ndarray, "h n"],
) -> Float[np.ndarray, "h n 4 3"]:
    """Of colours and depth, in standard deviations, by the places; distortion left aside."""
    z = places[..., 2]
    right, down = camera.fx / z * on, camera.fy / z * on
    x = (places[..., 0] + camera.tx / camera.fx) / z
    y = (places[..., 1] + camera.ty / camera.fy) / z

    def by_place(dx: np.ndarray, dy: np.ndarray) -> Float[np.ndarray, "h n c 3"]:
        dx, dy = dx * right[..., None], dy * down[..., None]
        return np.stack([dx, dy, -(dx * x[..., None] + dy * y[..., None])], axis=-1)

    colour = by_place(_whitened(view, there[..., 3:6]), _whitened(view, there[..., 6:9]))
    depth = -by_place(there[..., 10:11], there[..., 11:12])
    depth[..., 0, 2] += 1
    return np.concatenate([colour, depth * weight[..., None, None]], axis=-2)


def _whitened(view: View, colours: Float[np.ndarray, "h n 3"]) -> Float[np.ndarray, "h n 3"]:
    """Differences of colours in standard deviations; for each point one product for all motions."""
    return (colours.swapaxes(0, 1) @ view.whiten.mT).swapaxes(0, 1)
