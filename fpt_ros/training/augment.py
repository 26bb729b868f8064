# SPDX-License-Identifier: Apache-2.0
"""Random changes to a moment that leave it true: crops, mirrors, and what cameras do to colours."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from fpt_ros.model.image_embedder import resize

if TYPE_CHECKING:
    from jaxtyping import UInt8

    from fpt_ros.data.moments import Moment

FEWEST_POINTS = 64
"""A crop that leaves fewer is not taken."""
SOMETIMES = 0.25


def crop(moment: Moment, least: float, rng: np.random.Generator) -> Moment:
    """A random square of the picture, of at least that share of its side, and the points in it."""
    side = len(moment.image)
    size = round(side * rng.uniform(least, 1))
    left, top = rng.integers(0, side - size + 1, 2).tolist()
    points = (moment.points * side - np.array([left, top], np.float32)) / size
    flows = moment.flows * np.float32(side / size)
    inside = ((points >= 0) & (points <= 1)).all(-1)
    if inside.sum() < FEWEST_POINTS:
        return moment
    ends = points + flows
    seen = moment.seen & ((ends >= 0) & (ends <= 1)).all(-1)
    return replace(
        moment,
        image=moment.image[top : top + size, left : left + size],
        points=points[inside].astype(np.float32),
        flows=flows[:, inside],
        seen=seen[:, inside],
        bodies=None if moment.bodies is None else moment.bodies[inside],
    )


def mirror(moment: Moment) -> Moment:
    """As seen in a mirror: left and right exchanged, flows with them."""
    one, sign = np.array([1, 0], np.float32), np.array([-1, 1], np.float32)
    return replace(
        moment,
        image=moment.image[:, ::-1],
        points=one + sign * moment.points,
        flows=sign * moment.flows,
    )


def resized(image: UInt8[np.ndarray, "s s 3"], size: int) -> UInt8[np.ndarray, "size size 3"]:
    """As the model itself resizes what it is given."""
    if len(image) == size:
        return image
    channels_first = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
    return resize(channels_first[None].float(), size)[0].round().byte().permute(1, 2, 0).numpy()


def photograph(
    image: UInt8[np.ndarray, "s s 3"], rng: np.random.Generator
) -> UInt8[np.ndarray, "s s 3"]:
    """Another camera's picture: other colours, at times blurred, noisy or with JPEG's artefacts."""
    gain = rng.uniform(0.7, 1.3) * rng.uniform(0.85, 1.15, 3)
    # Of values round zero, as the model sees them.
    changed = (image.astype(np.float32) - 127.5) * gain.astype(np.float32) + 127.5
    changed += np.float32(rng.uniform(-25, 25))
    if rng.random() < SOMETIMES:
        sigma = rng.uniform(0.3, 1.0) * len(image) / 160
        changed = np.asarray(cv2.GaussianBlur(changed, (0, 0), sigma), np.float32)
    if rng.random() < SOMETIMES:
        noise = rng.standard_normal(changed.shape, np.float32)
        changed += noise * np.float32(rng.uniform(1, 8))
    picture = changed.round().clip(0, 255).astype(np.uint8)
    if rng.random() < SOMETIMES:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 95))]
        encoded = cv2.imencode(".jpg", picture, quality)[1]
        picture = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
    return picture
