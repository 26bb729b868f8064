# SPDX-License-Identifier: Apache-2.0
"""What a training starts from: a checkpoint, or a pretrained encoder, or nothing."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange

from fpt_ros.model import FlowPokeTransformer, ModelConfig, load_checkpoint
from fpt_ros.model.build import build_model
from fpt_ros.model.dinov2 import DinoV2Encoder
from fpt_ros.model.small.config import with_encoder_settings
from fpt_ros.model.small.encoder import EfficientNetLite0Encoder
from fpt_ros.training.warm_start import warm_start

DINOV2_URL = "https://dl.fbaipublicfiles.com/dinov2/{folder}/{file}_pretrain.pth"
POSITION = "image_embedder.model.position"
ENCODER_WEIGHTS = "auto, none, imagenet, dinov2 or a .pth file"


class StartError(ValueError):
    """Weights to start from that cannot be had or do not fit."""


def start_from_checkpoint(
    source: str, allow_download: bool, image_size: int | None = None
) -> FlowPokeTransformer:
    """Any checkpoint's model, in float32; it keeps its licence.

    Args:
        image_size: side of the pictures from now on, pixels; None: the checkpoint's.

    Raises:
        CheckpointError: it cannot be had.
        ValueError: an image size that its encoder cannot take.
    """
    model = load_checkpoint(source, "cpu", "float32", allow_download)
    if image_size in (None, model.config.image_size):
        return model
    return at_image_size(model, image_size)


def at_image_size(model: FlowPokeTransformer, image_size: int) -> FlowPokeTransformer:
    """The same weights for pictures of another size.

    DINOv2 fits its table of positions to any size by itself; the small encoder has one entry for
    each cell of its map, and here gets them interpolated.
    """
    other = build_model(replace(model.config, image_size=image_size))
    state = model.state_dict()
    encoder = other.image_embedder.model
    if isinstance(encoder, EfficientNetLite0Encoder):
        old, new = (round(math.sqrt(n)) for n in (state[POSITION].shape[1], encoder.cells))
        table = rearrange(state[POSITION], "1 (h w) d -> 1 d h w", h=old)
        table = F.interpolate(table, size=(new, new), mode="bicubic")
        state[POSITION] = rearrange(table, "1 d h w -> 1 (h w) d")
    other.load_state_dict(state)
    return other


def with_modes(model: FlowPokeTransformer, count: int) -> FlowPokeTransformer:
    """The same weights and new modes, whose guess has no say yet: the same predictions.

    Raises:
        ValueError: the model has modes already, or an encoder that cannot have any.
    """
    try:
        config = with_encoder_settings(model.config)
    except ValueError as error:
        raise ValueError(f"modes is {count}: the weights to start from: {error}") from error
    if config.modes:
        raise ValueError(f"modes is {count}: the weights to start from have {config.modes}")
    other = build_model(replace(config, modes=count))
    state = other.state_dict()
    for name, value in model.state_dict().items():
        grown = value.shape != state[name].shape  # the head's last layer
        state[name] = torch.cat([value, 0 * state[name][len(value) :]]) if grown else value
    other.load_state_dict(state)
    return other


def start_from_encoder(config: ModelConfig, weights: str) -> FlowPokeTransformer:
    """A new model whose encoder alone is pretrained.

    Args:
        weights: `none`; `imagenet`, for the small encoder; `dinov2`, its published weights, from
            torch hub's cache or downloaded; a file with those; `auto`: the one that fits.

    Raises:
        StartError: weights that cannot be had or do not fit the encoder.
    """
    model = build_model(config)
    encoder = model.image_embedder.model
    small = isinstance(encoder, EfficientNetLite0Encoder)
    if weights == "auto":
        weights = "imagenet" if small else "dinov2"
    if weights == "none":
        return model
    if isinstance(encoder, EfficientNetLite0Encoder):
        if weights != "imagenet":
            raise StartError(
                f"encoder_weights is {weights}: {config.encoder} takes imagenet or none"
            )
        warm_start(encoder.trunk)
        return model
    if weights == "imagenet":
        raise StartError(f"encoder_weights is imagenet: {config.encoder} takes dinov2 or a file")
    where, state = _dinov2_weights(config.encoder, weights)
    _fill(encoder, where, state)
    return model


def _dinov2_weights(encoder: str, weights: str) -> tuple[str, dict[str, torch.Tensor]]:
    try:
        if weights != "dinov2":
            return weights, torch.load(Path(weights), map_location="cpu", weights_only=True)
        # dinov2_vitb14_reg lies as dinov2_vitb14/dinov2_vitb14_reg4_pretrain.pth
        folder = encoder.removesuffix("_reg")
        file = f"{folder}_reg4" if encoder.endswith("_reg") else folder
        url = DINOV2_URL.format(folder=folder, file=file)
        state = torch.hub.load_state_dict_from_url(url, map_location="cpu", weights_only=True)
        return url, state
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).split("\n")[0]
        raise StartError(
            f"encoder_weights is {weights}: {reason}. Name a file that holds them, or none"
        ) from error


def _fill(encoder: DinoV2Encoder, where: str, state: dict[str, torch.Tensor]) -> None:
    wanted = encoder.state_dict()
    missing, unknown = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    common = sorted(wanted.keys() & state.keys())
    other = [name for name in common if state[name].shape != wanted[name].shape]
    for text, names in ("lacks", missing), ("has unknown", unknown), ("has other shapes of", other):
        if names:
            raise StartError(f"{where} {text} {', '.join(names[:3])}: not this encoder's weights")
    encoder.load_state_dict(state)
