# SPDX-License-Identifier: Apache-2.0
"""Motion distributions as NumPy arrays and as messages, both ways. Useful to planners as well."""

from __future__ import annotations

import array
from typing import TYPE_CHECKING, Any

import numpy as np
from builtin_interfaces.msg import Duration
from sensor_msgs.msg import Image

from fpt_ros.engine.motion import Motion
from fpt_ros.msg import MotionDistributions, Poke

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Bool, Float32, UInt8
    from std_msgs.msg import Header

    from fpt_ros.engine.frames import Stamp


def motion_to_message(motion: Motion, header: Header) -> MotionDistributions:
    """The message for `motion`; `header` has the stamp and frame_id of the image."""
    xx_xy_yy = motion.covariances[:, :, (0, 0, 1), (0, 1, 1)]
    return MotionDistributions(
        header=header,
        horizon=seconds_to_duration(motion.horizon),
        image_width=motion.image_size[0],
        image_height=motion.image_size[1],
        pokes=pokes_to_message(motion.pokes),
        camera_moving=motion.camera_moving,
        grid_width=motion.grid[0],
        grid_height=motion.grid[1],
        components=motion.weights.shape[1],
        x=floats(motion.points[:, 0]),
        y=floats(motion.points[:, 1]),
        weights=floats(motion.weights),
        means=floats(motion.means),
        covariances=floats(xx_xy_yy),
    )


def motion_from_message(message: MotionDistributions) -> Motion:
    """The arrays of a message; ValueError if its lengths do not fit together."""
    n, k = len(message.x), message.components
    xx_xy_yy = _shaped(message, "covariances", (n, k, 3))
    return Motion(
        pokes=pokes_from_message(message.pokes),
        points=np.stack([_shaped(message, "x", (n,)), _shaped(message, "y", (n,))], axis=1),
        weights=_shaped(message, "weights", (n, k)),
        means=_shaped(message, "means", (n, k, 2)),
        covariances=xx_xy_yy[:, :, ((0, 1), (1, 2))],
        image_size=(message.image_width, message.image_height),
        camera_moving=message.camera_moving,
        grid=(message.grid_width, message.grid_height),
        horizon=message.horizon.sec + message.horizon.nanosec * 1e-9,
        header=message.header,
    )


def pokes_to_message(pokes: Float32[np.ndarray, "P 4"]) -> list[Poke]:
    """Rows (x, y, dx, dy) [px] as messages."""
    return [Poke(x=x, y=y, dx=dx, dy=dy) for x, y, dx, dy in np.asarray(pokes).tolist()]


def pokes_from_message(pokes: Sequence[Poke]) -> Float32[np.ndarray, "P 4"]:
    """Rows (x, y, dx, dy) [px]."""
    rows = [(poke.x, poke.y, poke.dx, poke.dy) for poke in pokes]
    return np.array(rows, np.float32).reshape(-1, 4)


def rgb_to_message(image: UInt8[np.ndarray, "h w 3"], header: Header) -> Image:
    return _image(image, "rgb8", header)


def flow_to_message(flow: Float32[np.ndarray, "rows columns 2"], header: Header) -> Image:
    """A 32FC2 image: displacement to the right and down [px]."""
    return _image(flow.astype(np.float32), "32FC2", header)


def divergence_to_message(divergence: Float32[np.ndarray, "h w"], header: Header) -> Image:
    """A 32FC1 image [nats]."""
    return _image(divergence[:, :, None], "32FC1", header)


def mask_to_message(mask: Bool[np.ndarray, "h w"], header: Header) -> Image:
    """A mono8 image: 255 where the mask is true."""
    return _image(np.where(mask, np.uint8(255), np.uint8(0))[:, :, None], "mono8", header)


def seconds_to_duration(seconds: float) -> Duration:
    whole, nanoseconds = divmod(round(seconds * 1e9), 1_000_000_000)
    return Duration(sec=whole, nanosec=nanoseconds)


def stamp_of(request_or_header: Any) -> Stamp:
    """The field `stamp` of a request, a goal or a header."""
    stamp = request_or_header.stamp
    return stamp.sec, stamp.nanosec


def floats(values: np.ndarray) -> array.array[float]:
    """For a float32[] field. Assigning a NumPy array itself would take 100 times as long."""
    return _filled("f", np.asarray(values, np.float32))


def _filled(typecode: str, values: np.ndarray) -> array.array[float]:
    result: array.array[float] = array.array(typecode)
    result.frombytes(np.ascontiguousarray(values).tobytes())
    return result


def _image(pixels: np.ndarray, encoding: str, header: Header) -> Image:
    height, width, channels = pixels.shape
    return Image(
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=width * channels * pixels.itemsize,
        data=_filled("B", pixels.view(np.uint8) if pixels.size else pixels),
    )


def _shaped(message: MotionDistributions, field: str, shape: tuple[int, ...]) -> np.ndarray:
    values = np.asarray(getattr(message, field), np.float32)
    if values.size != np.prod(shape):
        raise ValueError(
            f"{field} has {values.size} entries: must be {' x '.join(map(str, shape))}"
        )
    return values.reshape(shape)
