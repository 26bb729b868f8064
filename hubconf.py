# SPDX-License-Identifier: Apache-2.0
"""Entry points for `torch.hub.load`: the model, and the predictor in pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

# And huggingface_hub for what lies there.
dependencies = ["torch", "numpy", "einops", "safetensors", "cv2"]

# Under names that torch.hub.list passes over.
from fpt_ros import model as _model  # noqa: E402
from fpt_ros.inference import predictor as _predictor  # noqa: E402
from fpt_ros.model import checkpoint as _checkpoint  # noqa: E402

if TYPE_CHECKING:
    from typing import Any

RELEASED = "hub:CompVis/flow-poke-transformer/flow_poke_open_set_base.pt"


def fpt(
    pretrained: bool = True,
    checkpoint: str = "embedded",
    device: str = "auto",
    dtype: str = "auto",
    **settings: Any,
) -> _model.FlowPokeTransformer:
    """A model with the weights of a checkpoint, or an untrained one of any architecture.

    Args:
        pretrained: False: random weights, in training mode; the checkpoint is not looked at.
        checkpoint: `embedded`, `hub:OWNER/NAME[@REVISION]/FILE` or a path, see
            `fpt_ros.model.load_checkpoint`, also for device, dtype and errors.
        dtype: `auto` is float32 for an untrained model.
        settings: of an untrained model, fields of `fpt_ros.model.ModelConfig` (by default the
            published base model); of a pretrained one, what a `.pt` file cannot state:
            `image_size`, `horizon`, `license`.
    """
    if pretrained:
        return _model.load_checkpoint(checkpoint, device, dtype, allow_download=True, **settings)
    return _untrained(_model.ModelConfig(**settings), device, dtype)


def fpt_small(
    pretrained: bool = True, device: str = "auto", dtype: str = "auto", **settings: Any
) -> _model.FlowPokeTransformer:
    """Our small model: with the embedded weights, or untrained, with fields of
    `fpt_ros.model.SmallModelConfig` as settings."""
    if pretrained:
        return fpt(True, "embedded", device, dtype, **settings)
    return _untrained(_model.SmallModelConfig(**settings), device, dtype)


def fpt_released(
    pretrained: bool = True, device: str = "auto", dtype: str = "auto", **settings: Any
) -> _model.FlowPokeTransformer:
    """The published base model, as `fpt`. Its weights are for non-commercial use (CC BY-NC 4.0)."""
    return fpt(pretrained, RELEASED, device, dtype, **settings)


def fpt_predictor(
    checkpoint: str = "embedded", device: str = "auto", dtype: str = "auto"
) -> _predictor.Predictor:
    """The predictor in pixels, see `fpt_ros.inference.predictor.Predictor`."""
    predictor = _predictor.Predictor
    return predictor.from_checkpoint(checkpoint, device=device, dtype=dtype, allow_download=True)


def _untrained(config: _model.ModelConfig, device: str, dtype: str) -> _model.FlowPokeTransformer:
    where, number = _checkpoint.resolve_device(device), _checkpoint.resolve_dtype(dtype, "cpu")
    return _model.build_model(config).to(where, number)
