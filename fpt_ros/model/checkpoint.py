# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in and out: the embedded weights, the released ones from the hub, and files.

Nothing in a checkpoint is ever executed: `.pt` files are read with `weights_only`, and every
entry is held against the network's own names and shapes before it is used.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from fpt_ros.model.build import build_model
from fpt_ros.model.config import ModelConfig, Provenance
from fpt_ros.model.files import CheckpointError, owned_copy
from fpt_ros.model.flow_poke import FlowPokeTransformer
from fpt_ros.model.hub import locate_on_hub
from fpt_ros.model.metadata import CONFIG_KEY, config_from_metadata, config_to_metadata
from fpt_ros.model.released import infer_config, read_released, without_wrappers

EMBEDDED = "embedded"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

logger = logging.getLogger(__name__)


def load_checkpoint(
    source: str | Path = EMBEDDED,
    device: str = "auto",
    dtype: str = "auto",
    allow_download: bool = False,
    *,
    image_size: int | None = None,
    horizon: float | None = None,
    license: str | None = None,
) -> FlowPokeTransformer:
    """A model with its weights, in eval mode. It takes little more memory than its weights do, in
    the file's own type (until they are converted), and owns them: what becomes of the file later
    does not matter.

    Args:
        source: `embedded` (the weights in this package), `hub:OWNER/NAME[@REVISION]/FILE` (a file
            on the Hugging Face hub, see `fpt_ros.model.hub.parse_hub_source`) or a path. Files end
            in `.safetensors` (written by `save_checkpoint`) or in `.pt` or `.pth` (a state dict of
            the released layout, alone or as the entry `model` of what a training saves; prefixes
            of DistributedDataParallel, torch.compile and Lightning are taken off its names).
        device: `auto` (CUDA where there is one), or any that torch names.
        dtype: `auto` (bfloat16 on CUDA, else float32), `float32`, `bfloat16` or `float16`.
        allow_download: fetch a hub file that the local cache does not hold.
        image_size: of `ModelConfig`, as the next two, which a `.pt` cannot state and a
            `.safetensors` does; None: the released model's.
        horizon: seconds.
        license: of the weights.

    Raises:
        CheckpointError: the file is missing, damaged, or does not fit; the message says where.
        ValueError: a device or dtype that cannot be had.
    """
    where, number = resolve_device(device), resolve_dtype(dtype, device)
    path, origin_license = _locate(str(source), allow_download)
    told = {"image_size": image_size, "horizon": horizon, "license": license}
    with owned_copy(path) as (copy, sha256), _naming(path):
        config, state = _read(path, copy, {k: v for k, v in told.items() if v is not None})
        if origin_license:
            if license not in (None, origin_license):
                raise ValueError(f"license is {license!r}: its repository has {origin_license!r}")
            config = dataclasses.replace(config, license=origin_license)
        with _WithoutValues():
            model = build_model(config)
        _check_entries(state, model.state_dict())
        # Before they are assigned: what has been a parameter once keeps the copy of the file.
        buffers = dict(model.named_buffers())  # these stay in float32
        for name, value in state.items():
            state[name] = value.clone() if name in buffers else value.to(where, number)
        model.load_state_dict(state, assign=True)
    model.provenance = Provenance(str(source), sha256, config.license)
    return model.to(where, number).eval()


def save_checkpoint(model: FlowPokeTransformer, path: str | Path) -> None:
    """Write the weights with their config as safetensors; an existing file is replaced whole.

    Raises:
        CheckpointError: the path does not end in `.safetensors`, or cannot be written.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise CheckpointError(f"{path}: must end in .safetensors")
    state, _ = without_wrappers(model.state_dict())
    state = {name: value.detach().contiguous().cpu() for name, value in state.items()}
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            unfinished.touch()
            mode = unfinished.stat().st_mode
            save_file(state, unfinished, metadata=config_to_metadata(model.config))
            unfinished.chmod(mode)  # others may read it where they may read what we write
            with unfinished.open("rb") as file:
                os.fsync(file)  # else a power cut may leave the new name on an empty file
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be written: {error}") from error


def resolve_device(device: str) -> torch.device:
    """The torch device for a name, `auto` included.

    Raises:
        ValueError: an unknown device, or CUDA where there is none.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device is {device!r}: must be auto, cpu, cuda or cuda:N") from error
    if found.type not in ("cpu", "cuda"):
        raise ValueError(f"device is {device!r}: must be auto, cpu, cuda or cuda:N")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise ValueError(f"device is {device!r}: this PyTorch sees {count} CUDA devices")
    return found


def resolve_dtype(dtype: str, device: str = "auto") -> torch.dtype:
    """The torch type for a name, `auto` included.

    Raises:
        ValueError: an unknown type.
    """
    if dtype == "auto":
        return torch.bfloat16 if resolve_device(device).type == "cuda" else torch.float32
    if dtype not in DTYPES:
        raise ValueError(f"dtype is {dtype!r}: must be auto, {', '.join(DTYPES)}")
    return DTYPES[dtype]


def _locate(source: str, allow_download: bool) -> tuple[Path, str]:
    """The local file of a source, and the licence that its origin implies ('' if none)."""
    if source == EMBEDDED:
        path = Path(str(resources.files("fpt_ros") / "weights" / "embedded.safetensors"))
        if not path.is_file():
            raise CheckpointError(f"the embedded weights are not installed: {path} is missing")
        return path, ""
    if source.startswith("hub:"):
        return locate_on_hub(source, allow_download)
    path = Path(source).expanduser()
    if not path.is_file():
        raise CheckpointError(
            f"checkpoint {source!r} is not a file: must be {EMBEDDED!r}, a path to a .safetensors, "
            ".pt or .pth file, or hub:OWNER/NAME[@REVISION]/FILE"
        )
    if path.suffix not in (".safetensors", ".pt", ".pth"):
        raise CheckpointError(f"{path}: must end in .safetensors, .pt or .pth")
    return path, ""


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """What is wrong with the content becomes a CheckpointError that names the file."""
    try:
        yield
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _read(path: Path, copy: str, told: dict[str, Any]) -> tuple[ModelConfig, dict[str, Tensor]]:
    """The config and the weights, which are mapped from the copy; ValueError says what is wrong."""
    if path.suffix == ".safetensors":
        if told:
            raise ValueError(f"it states its own {', '.join(told)}: to be told of a .pt file alone")
        return _read_safetensors(copy)
    state, stripped = without_wrappers(read_released(copy))
    if stripped:
        logger.info("%s: took the prefix %r off the names of its entries", path, stripped)
    return dataclasses.replace(infer_config(state), **told), state


def _read_safetensors(copy: str) -> tuple[ModelConfig, dict[str, Tensor]]:
    try:
        with safe_open(copy, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"it is not a whole safetensors file: {error}") from error
    try:
        return config_from_metadata(metadata), state
    except (ValueError, TypeError) as error:
        raise ValueError(f"bad {CONFIG_KEY!r} in its metadata: {error}") from error


class _WithoutValues(TorchFunctionMode):
    """Networks that are built under it leave their parameters' memory untouched, so that it is
    never really taken. Unlike on the meta device, buffers get their values, and torch does not load
    its compiler (800 modules, a second)."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        if func in (Tensor.zero_, Tensor.fill_) and isinstance(args[0], nn.Parameter):
            return args[0]  # some of torch.nn.init's functions are not seen here, only these
        return func(*args, **kwargs)


def _check_entries(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Every entry of the network, of its shape, floating and finite; and no other."""
    missing, unknown = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    if missing:
        raise ValueError(f"{len(missing)} entries are missing: {_first(missing)}")
    if unknown:
        raise ValueError(f"{len(unknown)} entries are unknown: {_first(unknown)}")
    for name, value in state.items():
        shape = tuple(wanted[name].shape)
        if tuple(value.shape) != shape:
            raise ValueError(f"entry {name!r} has shape {tuple(value.shape)}: must be {shape}")
        if not value.is_floating_point():
            raise ValueError(f"entry {name!r} is {value.dtype}: must be floating")
        if not bool(value.isfinite().all()):
            raise ValueError(f"entry {name!r} holds values that are not finite")


def _first(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
