# SPDX-License-Identifier: Apache-2.0
"""A calibrated camera: from points in its optical frame to pixels and back."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

FISHEYE = "equidistant"
MODELS = ("", "plumb_bob", "rational_polynomial", FISHEYE)
"""Distortion models of sensor_msgs/distortion_models.hpp; empty: none."""


@dataclasses.dataclass(frozen=True)
class Camera:
    """Projects points in the optical frame (x right, y down, z forward, metres) to pixels.

    Pixel (0, 0) is the centre of the top-left pixel, as in OpenCV and sensor_msgs/CameraInfo.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    """Focal lengths and principal point, pixels of the image as it arrives."""
    width: int
    height: int
    tx: float = 0.0
    ty: float = 0.0
    """P[3] and P[7]: shift of a stereo pair's second camera, pixel metres."""
    distortion: tuple[float, ...] = ()
    """D of an image that is not rectified; empty: a pinhole camera."""
    fisheye: bool = False
    """Whether D is of the equidistant model."""

    def __post_init__(self) -> None:
        if not (self.fx > 0 and self.fy > 0):
            raise ValueError(f"focal lengths are {self.fx}, {self.fy}: must be positive")
        if self.width < 1 or self.height < 1:
            raise ValueError(f"the image is {self.width} x {self.height}: must have pixels")

    @classmethod
    def from_info(
        cls,
        width: int,
        height: int,
        k: Sequence[float],
        p: Sequence[float] = (),
        d: Sequence[float] = (),
        model: str = "",
        binning: tuple[int, int] = (1, 1),
        roi: tuple[int, int, int, int] = (0, 0, 0, 0),
        rectified: bool = True,
    ) -> Camera:
        """The camera of an image, by the fields of its sensor_msgs/CameraInfo.

        A CameraInfo goes with the raw image and with the rectified one, and does not say which of
        them arrived. P [3, 4] holds for rectified images; raw ones are seen through K [3, 3] and
        the distortion D. Where D is zero they are the same but for the rotation R of a stereo
        pair, which a raw image's own frame has not.

        Args:
            width, height: of the sensor at full resolution, which K and P are for.
            k, p: row by row; p may be empty or zero (not calibrated): K then counts.
            d, model: distortion, one of MODELS.
            binning: pixels that make one of the image's; 0 means 1.
            roi: x, y, width, height at full resolution; sizes of 0 mean the whole sensor.
            rectified: whether the image is rectified (its topic is image_rect or the like).

        Raises:
            ValueError: not calibrated, or a distortion that counts of a model that is not known.
        """
        across, down = (max(int(b), 1) for b in binning)
        x, y, roi_width, roi_height = roi
        use_p = len(p) == 12 and p[0] > 0 and (rectified or not any(d))
        m = np.reshape(p, (3, 4)) if use_p else np.column_stack([np.reshape(k, (3, 3)), [0, 0, 0]])
        if not (m[0, 0] > 0 and m[1, 1] > 0):
            raise ValueError("the camera is not calibrated: K and P have no focal lengths")
        bent = () if use_p or not any(d) else tuple(float(value) for value in d)
        if bent and model not in MODELS:
            allowed = ", ".join(MODELS[1:])
            raise ValueError(f"distortion_model is {model!r}: must be one of {allowed}")
        return cls(
            fx=float(m[0, 0] / across),
            fy=float(m[1, 1] / down),
            cx=float((m[0, 2] - x) / across),
            cy=float((m[1, 2] - y) / down),
            width=(roi_width or width) // across,
            height=(roi_height or height) // down,
            tx=float(m[0, 3] / across),
            ty=float(m[1, 3] / down),
            distortion=bent,
            fisheye=model == FISHEYE,
        )

    @classmethod
    def guessed(cls, width: int, height: int, field_of_view: float = 60.0) -> Camera:
        """A pinhole camera of that horizontal field of view [degrees], where none is known."""
        focal = width / 2 / math.tan(math.radians(field_of_view) / 2)
        return cls(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)

    @property
    def matrix(self) -> Float[np.ndarray, "3 3"]:
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], float)

    def project(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 2"]:
        """Pixels of points [m]; NaN for those that are not in front of the camera."""
        points = np.asarray(points, float)
        z = np.where(points[:, 2:] > 0, points[:, 2:], np.nan)
        rays = (points[:, :2] + self._shift) / z
        if self.distortion:
            return self._bent(rays)
        return rays * (self.fx, self.fy) + (self.cx, self.cy)

    def unproject(
        self, pixels: Float[np.ndarray, "n 2"], depth: Float[np.ndarray, " n"]
    ) -> Float[np.ndarray, "n 3"]:
        """Points [m] at pixels with depth along z [m]; NaN where the depth is not a number."""
        depth = np.asarray(depth, float)[:, None]
        return np.column_stack([self.rays(pixels) * depth - self._shift, depth])

    def rays(self, pixels: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """x / z and y / z of what is seen at pixels (in the frame shifted by tx, ty)."""
        pixels = np.asarray(pixels, float).reshape(-1, 2)
        if not self.distortion or not len(pixels):
            return (pixels - (self.cx, self.cy)) / (self.fx, self.fy)
        undistort = cv2.fisheye.undistortPoints if self.fisheye else cv2.undistortPoints
        bent = np.array(self.distortion)
        return undistort(pixels[:, None], self.matrix, bent).reshape(-1, 2)

    def straight(self) -> Camera:
        """The same camera without distortion: `rays` of this one projected by that one."""
        return dataclasses.replace(self, distortion=(), fisheye=False)

    def straightened(self, pixels: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Where pixels would be without distortion."""
        if not self.distortion:
            return np.asarray(pixels, float)
        return self.rays(pixels) * (self.fx, self.fy) + (self.cx, self.cy)

    @property
    def _shift(self) -> Float[np.ndarray, " 2"]:
        return np.array([self.tx / self.fx, self.ty / self.fy])

    def _bent(self, rays: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        found = np.full_like(rays, np.nan)
        good = np.isfinite(rays).all(1)
        if not good.any():
            return found
        bent, none = np.array(self.distortion), np.zeros(3)
        if self.fisheye:
            flat = cv2.fisheye.distortPoints(rays[good][:, None], self.matrix, bent)
        else:
            places = np.column_stack([rays[good], np.ones(good.sum())])
            flat, _ = cv2.projectPoints(places, none, none, self.matrix, bent)
        found[good] = flat.reshape(-1, 2)
        return found
