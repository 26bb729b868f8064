# SPDX-License-Identifier: Apache-2.0
"""From pictures to what is computed once for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from fpt_ros.inference.context import ImageContext, separate
from fpt_ros.inference.transfer import upload
from fpt_ros.inference.view import View
from fpt_ros.model import FlowPokeTransformer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import UInt8


IMAGES_AT_ONCE = 8
"""That run through the encoder together."""


@torch.no_grad()
def embed_images(
    model: FlowPokeTransformer, images: Sequence[UInt8[np.ndarray, "h w 3"]], fit: str
) -> list[ImageContext]:
    """Run the image encoder, on some of them at once; see `Predictor.embed_batch`."""
    contexts: list[ImageContext] = []
    for start in range(0, len(images), IMAGES_AT_ONCE):
        contexts += _embed_together(model, images[start : start + IMAGES_AT_ONCE], fit)
    return contexts


def _embed_together(
    model: FlowPokeTransformer, images: Sequence[UInt8[np.ndarray, "h w 3"]], fit: str
) -> list[ImageContext]:
    device, size = model.device, model.config.image_size
    views = [View(image.shape[1], image.shape[0], fit) for image in images]
    pixels = (upload(torch.from_numpy(np.ascontiguousarray(image)), device) for image in images)
    squares = [view.square(image, size) for view, image in zip(views, pixels, strict=True)]
    embedded = model.embed_image(torch.cat(squares))
    each = [embedded] if len(images) == 1 else separate(embedded)
    units = [torch.tensor(view.sides, dtype=torch.float64, device=device) for view in views]
    return [ImageContext(*parts) for parts in zip(views, each, units, strict=True)]


def checked_image(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """An RGB picture; ValueError if it is none."""
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(
            f"the image is {image.dtype} of shape {image.shape}: must be uint8 [h, w, 3], RGB"
        )
    return image
