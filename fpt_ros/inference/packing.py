# SPDX-License-Identifier: Apache-2.0
"""The model that answers: a predictor's own, for inference alone, on CPUs with packed weights.

Its own, so that whoever trains or writes to a model never changes the answers of a predictor made
of it before, neither all of them nor, far worse, some.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from fpt_ros.inference.layers import ComplexRotation, InferenceLayer, InferenceRMSNorm
from fpt_ros.inference.packed import PACKING_IS_AVAILABLE, PackedConv2d, PackedLinear
from fpt_ros.model.small.encoder import Conv2d
from fpt_ros.model.transformer import Layer, RotaryEmbedding

if TYPE_CHECKING:
    from fpt_ros.model import FlowPokeTransformer


def for_inference(model: FlowPokeTransformer, compile: bool = False) -> FlowPokeTransformer:
    """The model itself made for inference: nobody else may have it. No gradients, weights packed.

    One layer after the other, so that there is never a second copy of all weights.

    Args:
        compile: run the image encoder through `torch.compile`, once it is first used.
    """
    model.eval().requires_grad_(False)
    encoder = model.image_embedder.model
    on_cpu = model.device.type == "cpu"
    if compile and on_cpu:
        encoder.compile(options={"freezing": True})  # the compiler packs by itself
    elif compile:
        encoder.compile(mode="reduce-overhead")  # one CUDA graph
    if PACKING_IS_AVAILABLE and on_cpu and model.dtype in (torch.float32, torch.bfloat16):
        _pack(model, keep=encoder if compile else None)
    return model


def _pack(module: nn.Module, keep: nn.Module | None) -> None:
    for name, child in module.named_children():
        if child is keep:
            continue
        if type(child) is nn.Linear:
            setattr(module, name, PackedLinear(child))
        elif isinstance(child, Conv2d):
            setattr(module, name, PackedConv2d(child))
        elif isinstance(child, Layer):
            setattr(module, name, InferenceLayer(child))
        elif isinstance(child, nn.RMSNorm):
            setattr(module, name, InferenceRMSNorm(child))
        elif isinstance(child, RotaryEmbedding):
            setattr(module, name, ComplexRotation(child))
        else:
            _pack(child, keep)
