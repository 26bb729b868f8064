# SPDX-License-Identifier: Apache-2.0
"""Tiny models with random weights, and what they are asked."""

from __future__ import annotations

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from fpt_ros.model import FlowPokeTransformer, ModelConfig
from fpt_ros.model.build import build_model
from fpt_ros.model.small.config import SmallModelConfig

TINY = ModelConfig("dinov2_vits14", image_size=56, width=128, depth=2, horizon=0.5, license="MIT")
GUESSING = SmallModelConfig("efficientnet_lite0", image_size=64, width=64, depth=1, modes=2)
POKES = np.array([[300.0, 200.0, 20.0, -10.0], [350.0, 120.0, 5.0, 30.0]])
POINTS = np.array([[310.0, 210.0], [100.0, 100.0], [320.0, 240.0]])


def random_model(config: ModelConfig) -> FlowPokeTransformer:
    """With no weight zero, so that every input matters."""
    torch.manual_seed(0)
    model = build_model(config)
    with torch.no_grad():
        for parameter in model.parameters():
            fan_in = parameter.shape[-1] if parameter.ndim else 1
            parameter.add_(torch.randn(parameter.shape) * 0.3 / fan_in**0.5)
    return model


def random_pokes(count: int, seed: int = 0) -> np.ndarray:
    """Different ones, anywhere on a picture of 640 x 480."""
    rng = np.random.default_rng(seed)
    return rng.uniform((0, 0, -30, -30), (639, 479, 30, 30), (count, 4))


def random_points(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform((0, 0), (639, 479), (count, 2))


class LargestTensor(TorchDispatchMode):
    """How many numbers the largest tensor held that any operation gave."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for part in result if isinstance(result, tuple | list) else (result,):
            if isinstance(part, torch.Tensor) and not func.is_view:
                self.numel = max(self.numel, part.numel())
        return result


class RefuseToWait(TorchDispatchMode):
    """Fails where an operation would make the host wait for a device, even if there is none."""

    WAITING = frozenset(
        {"item", "_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "equal"}
    )

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in self.WAITING:
            raise AssertionError(f"{name} waits for the device")
        return func(*args, **(kwargs or {}))
