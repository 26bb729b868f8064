# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of the released layout: `.pt` files with a state dict, which name no config."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fpt_ros.model.config import ModelConfig
from fpt_ros.model.dinov2 import DINOV2_SIZES

_STATE_KEYS = ("model", "state_dict")
"""Under which trainings save the state dict, beside the optimizer's and others."""
_WRAPPERS = ("module.", "_orig_mod.", "model.")
"""Put before every name by DistributedDataParallel, torch.compile and PyTorch Lightning."""

_MAPPED_IN_VAIN = 10_000_000
"""Bytes of other things in a file, from which on weights are copied out of it."""


def read_released(name: str) -> dict[str, Tensor]:
    """The state dict of a `.pt` file: alone, or under `model` or `state_dict`.

    Nothing in the file is executed. The tensors are mapped from it, unless it holds much else, an
    optimizer's state say, which would stay in memory with them.

    Raises:
        ValueError: a damaged file, one with more than tensors in it, or one without a state dict.
    """
    try:
        mapped = zipfile.is_zipfile(name)  # others, of torch before 1.6, are read whole
        content: Any = torch.load(name, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        reason = str(error).split("\n")[0]
        raise ValueError(
            f"it holds more than tensors, or is damaged; nothing in it was run: {reason}"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError) as error:
        raise ValueError(f"it is not a whole torch file: {error}") from error
    if not isinstance(content, Mapping):
        raise ValueError(f"it holds a {type(content).__name__}: must be a state dict")
    state = next((content[k] for k in _STATE_KEYS if isinstance(content.get(k), Mapping)), content)
    if not any(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(
            "it holds no state dict, neither at its top nor as its entry 'model' or "
            f"'state_dict': {sorted(map(str, content))[:8]}"
        )
    for entry, value in state.items():
        if not isinstance(entry, str) or not isinstance(value, Tensor):
            raise ValueError(f"entry {entry!r} is a {type(value).__name__}, no tensor")
    if "recipe" in content:
        raise ValueError(
            "it is what fpt-train goes on from, with settings that a .pt cannot state: take the "
            "model.safetensors beside it"
        )
    others = Path(name).stat().st_size - sum(value.nbytes for value in state.values())
    if mapped and others > _MAPPED_IN_VAIN:
        return {entry: value.clone() for entry, value in state.items()}
    return dict(state)


def without_wrappers(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """The entries without the prefix that wrappers of the model have put before all their names,
    and that prefix. There is at least one entry."""
    stripped = ""
    while wrapper := next((w for w in _WRAPPERS if all(k.startswith(w) for k in state)), ""):
        state = {name.removeprefix(wrapper): value for name, value in state.items()}
        stripped += wrapper
    return dict(state), stripped


def infer_config(state: Mapping[str, Tensor]) -> ModelConfig:
    """The architecture of a released state dict: sizes are read off the shapes.

    Raises:
        ValueError: an entry that is missing or of a wrong shape.
    """
    if "image_embedder.model.trunk.stem.weight" in state:
        raise ValueError(
            "it holds the small model, whose settings a .pt does not name: save it with "
            "save_checkpoint as .safetensors"
        )
    for name, dimensions in {
        "image_embedder.model.pos_embed": 3,
        "cond_emb.weight": 2,
        "out_mlp.5.weight": 2,
    }.items():
        if name not in state:
            raise ValueError(_missing(name, state))
        if state[name].ndim != dimensions:
            raise ValueError(f"entry {name!r} has shape {tuple(state[name].shape)}")
    channels = state["image_embedder.model.pos_embed"].shape[-1]
    blocks = _count(state, "image_embedder.model.blocks.")
    registers = "image_embedder.model.register_tokens" in state
    encoders = [
        name
        for name, (size, _, depth) in DINOV2_SIZES.items()
        if (size, depth) == (channels, blocks) and name.endswith("_reg") == registers
    ]
    if not encoders:
        raise ValueError(
            f"image_embedder.model has {channels} channels and {blocks} blocks: no DINOv2 encoder"
        )
    return ModelConfig(
        encoder=encoders[0],
        width=state["cond_emb.weight"].shape[1],
        depth=_count(state, "transformer.layers."),
        components=state["out_mlp.5.weight"].shape[0] // 6,
    )


def _missing(name: str, state: Mapping[str, Tensor]) -> str:
    """That an entry is missing, and where there is one with something before its name, what."""
    for other in state:
        if other.endswith(name):
            prefix = other.removesuffix(name)
            return (
                f"entry {name!r} is missing, but there is {other!r}: take the prefix {prefix!r} "
                "off the names"
            )
    return f"entry {name!r} is missing: not a state dict of the released layout"


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    return len({name[len(prefix) :].split(".")[0] for name in state if name.startswith(prefix)})
